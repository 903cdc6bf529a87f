//! Names that users write or search for: labels, label values, the field manager.

/// Label that says what a Secret may be used for. A Secret without it is never read.
pub const USE_LABEL: &str = "warehousesync.dev/use";

/// Value of [`USE_LABEL`] for a Secret that holds a `PostHog` personal API key.
pub const USE_API_KEY: &str = "posthog-api-key";

/// Value of [`USE_LABEL`] for a Secret that holds credentials of sources.
pub const USE_SOURCE: &str = "source-credentials";

/// Value of [`USE_LABEL`] for a Secret that holds what `spec.notifications` needs: URLs of receivers, keys for signatures.
pub const USE_NOTIFICATION: &str = "notification";

/// Annotation of a Secret with credentials of sources: the id of the `PostHog` project whose sources may receive them.
pub const PROJECT_ANNOTATION: &str = "warehousesync.dev/project";

/// Annotation of such a Secret: the one source that it may be sent to, as the policy names it
/// ([`SourceRef`](super::policy::SourceRef)): `type=Stripe,prefix=prod`, or `id=…`.
pub const SOURCE_ANNOTATION: &str = "warehousesync.dev/source";

/// Annotation of such a Secret: names of the inputs of that source and its webhook that it may fill, separated by
/// commas.
pub const INPUTS_ANNOTATION: &str = "warehousesync.dev/inputs";

/// The one server-side-apply field manager of the operator.
pub const FIELD_MANAGER: &str = "warehouse-sync-operator";

/// Name under which events are reported (`kubectl get events`, column SOURCE).
pub const REPORTER: &str = "warehouse-sync-operator";

/// Annotation by which a person asks the operator to start again where it has given up: attempts are counted from one
/// again, and an open circuit breaker allows one trial. Each value takes effect once.
pub const RESET_AT: &str = "reconcile.warehousesync.dev/resetAt";

/// Annotation by which a person asks the operator to poll `PostHog` at once, and nothing else. Each value takes effect
/// once.
pub const REQUESTED_AT: &str = "reconcile.warehousesync.dev/requestedAt";

/// How many characters of such an annotation's value are compared.
pub const MAX_TOKEN: usize = 128;

/// Prefix of the annotation by which a person approves a proposal; its id follows.
pub const APPROVE: &str = "approve.warehousesync.dev/";

/// Prefix of the annotation by which a person denies a proposal; its id follows, the value is the reason.
pub const DENY: &str = "deny.warehousesync.dev/";

/// Prefix of the annotation by which a person asks for a proposal; the id of the table follows.
pub const REQUEST: &str = "request.warehousesync.dev/";

/// Prefix of the value of an approval that one user writes for another, as `GitOps` tools do: the name after it is not
/// verified.
pub const ON_BEHALF: &str = "on-behalf:";

/// Prefix of the user name of a `ServiceAccount`.
pub const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Field manager of the annotations that `kubectl wsp` writes. It must not begin with `kubectl`: Flux treats such
/// fields as manual changes and removes them at its next apply.
pub const PLUGIN_MANAGER: &str = "wsp-approve";
