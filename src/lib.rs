//! Keeps `PostHog` data-warehouse syncs healthy, and asks before it touches data.
