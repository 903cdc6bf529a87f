//! Keeps `PostHog` data-warehouse syncs healthy, and asks before it touches data.
//!
//! The folders are a pipeline, read from top to bottom; each may use those above it:
//! [`api`] → [`posthog`] → [`observe`] → [`diagnose`] → [`decide`] → [`report`] → [`execute`] → [`controller`] → [`serve`],
//! [`cli`].

pub mod api;
pub mod cli;
pub mod controller;
pub mod decide;
pub mod diagnose;
pub mod execute;
pub mod observe;
pub mod posthog;
pub mod report;
pub mod serve;
