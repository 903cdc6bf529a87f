//! Names of rules by which more is decided than what a finding is called.

/// A request to resync a table.
pub const RESYNC: &str = "request/resync";
/// A request to delete a table's data.
pub const DELETE_DATA: &str = "request/delete-data";
/// A request that cannot be understood.
pub const NOT_UNDERSTOOD: &str = "request/not-understood";
/// `PostHog` has no webhook for the source.
pub const NOT_REGISTERED: &str = "webhook/not-registered";
/// `PostHog` shows an input of the webhook as not set, without which it takes no event.
pub const INPUT_MISSING: &str = "webhook/input-missing";
/// The vendor no longer has the webhook.
pub const GONE_AT_VENDOR: &str = "webhook/gone-at-vendor";
/// The vendor does not call the webhook enabled.
pub const DISABLED_AT_VENDOR: &str = "webhook/disabled-at-vendor";
/// A run shows no sign of life in a phase in which it may rest.
pub const SILENT: &str = "run/silent";
/// The database no longer has the replication slot.
pub const SLOT_GONE: &str = "cdc/slot-gone";
/// How the rules about a lagging replication slot begin.
pub const LAG: &str = "cdc/lag";
/// Tables were switched off because the source does not show them.
pub const NOT_SHOWN: &str = "list/not-shown";
/// No run of a table that should sync has completed for long, and nobody stopped it.
pub const NONE_COMPLETED: &str = "run/none-completed";
/// No run of a table has completed for long, and one is in progress.
pub const RUN_LATE: &str = "run/late";
