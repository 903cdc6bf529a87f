//! Names that users write or search for: labels, label values, the field manager.

/// Label that says what a Secret may be used for. A Secret without it is never read.
pub const USE_LABEL: &str = "warehousesync.dev/use";

/// Value of [`USE_LABEL`] for a Secret that holds a `PostHog` personal API key.
pub const USE_API_KEY: &str = "posthog-api-key";

/// The one server-side-apply field manager of the operator.
pub const FIELD_MANAGER: &str = "warehouse-sync-operator";

/// Name under which events are reported (`kubectl get events`, column SOURCE).
pub const REPORTER: &str = "warehouse-sync-operator";
