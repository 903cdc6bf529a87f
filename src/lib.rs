//! Keeps `PostHog` data-warehouse syncs healthy, and asks before it touches data.
pub mod api;
pub mod diagnose;
pub mod observe;
pub mod posthog;
