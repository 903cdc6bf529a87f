//! What `PostHog` sends: only the fields that the operator uses, each tolerant of values it does not know.

use compact_str::CompactString;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer};

use super::{
    id::Id,
    instance::UnfamiliarKind,
    lax::{self, Lax},
};

/// One page of a paged list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// How many items there are in all.
    pub count: u64,
    /// Where the next page is; null on the last. Never followed: it could point anywhere.
    #[serde(default)]
    pub next: Lax<String>,
    /// The items of this page.
    pub results: Vec<T>,
}

/// A source, as a row of the sources list.
#[derive(Debug, Clone, Deserialize)]
pub struct Source {
    /// UUID.
    #[serde(deserialize_with = "lax::id")]
    pub id: String,
    /// For example `Postgres`.
    #[serde(default)]
    pub source_type: Lax<String>,
    /// The prefix that a user gave it, null or empty if none.
    #[serde(default)]
    pub prefix: Lax<String>,
    /// Derived from its tables by `PostHog`; `Error` only where none of them has anything to say.
    #[serde(default)]
    pub status: Lax<String>,
    /// `warehouse` or `direct`.
    #[serde(default)]
    pub access_method: Lax<String>,
    /// Its tables.
    #[serde(deserialize_with = "without_room")]
    pub schemas: Vec<Schema>,
}

/// A list without room for more: a list that grows while it is read has room for a third more on average, and rows are what takes most memory.
fn without_room<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Schema>, D::Error> {
    let mut rows: Vec<Schema> = Deserialize::deserialize(deserializer)?;
    rows.shrink_to_fit();
    Ok(rows)
}

impl Source {
    /// Type as text; empty if unknown.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.source_type.get().map_or("", String::as_str)
    }

    /// Prefix as text; empty if there is none.
    #[must_use]
    pub fn prefix_name(&self) -> &str {
        self.prefix.get().map_or("", String::as_str)
    }

    /// What people call it: type and prefix.
    #[must_use]
    pub fn title(&self) -> String {
        match (self.type_name(), self.prefix_name()) {
            ("", _) => self.id.clone(),
            (kind, "") => kind.to_owned(),
            (kind, prefix) => format!("{kind} {prefix}"),
        }
    }

    /// True if `PostHog` imports from this source on a schedule: it says so, or is so old that it knows no other sources and says
    /// nothing.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.is_warehouse() || self.access_method == Lax::Missing
    }

    /// True if it says of its access what this version does not know.
    #[must_use]
    pub fn is_accessed_oddly(&self) -> bool {
        let is_direct = self
            .access_method
            .get()
            .is_some_and(|method| method == "direct");
        !self.is_imported() && !is_direct
    }

    /// True only if this is certainly a source that `PostHog` imports from. A direct one is observed, never written to.
    #[must_use]
    pub fn is_warehouse(&self) -> bool {
        self.access_method
            .get()
            .is_some_and(|method| method == "warehouse")
    }
}

/// A table ("schema" in `PostHog`'s terms), as in a row of the sources list and alone.
#[derive(Debug, Clone, Deserialize)]
pub struct Schema {
    /// UUID.
    pub id: Id,
    /// For example `public.orders`.
    pub name: CompactString,
    /// Whether syncing is switched on.
    #[serde(default)]
    pub should_sync: Lax<bool>,
    /// Status of the newest run, as `PostHog` paints it.
    #[serde(default)]
    pub status: Lax<CompactString>,
    /// Start of the last *successful* run; not a sign of life of the present one.
    #[serde(default)]
    pub last_synced_at: Lax<Timestamp>,
    /// Text of the last error. Not cleared before the next success: only to be trusted beside `Failed`.
    #[serde(default)]
    pub latest_error: Lax<String>,
    /// How it is synced: `full_refresh`, `incremental`, `append`, `webhook`, `cdc`, `xmin`; null if it has not been set up.
    #[serde(default)]
    pub sync_type: Lax<CompactString>,
    /// How often it is synced, in `PostHog`'s words; see [`Schema::frequency`].
    #[serde(default)]
    pub sync_frequency: Lax<CompactString>,
    /// The table that the rows are kept in; null before the first sync.
    #[serde(default)]
    pub table: Option<Table>,
}

/// The table that a schema's rows are kept in.
#[derive(Debug, Clone, Deserialize)]
pub struct Table {
    /// UUID. A new one after the table was deleted and reimported.
    #[serde(default)]
    pub id: Lax<Id>,
    /// Rows in it.
    #[serde(default)]
    pub row_count: Lax<i64>,
}

/// What claims to have happened later than this after now tells nothing: some clock is wrong.
pub const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// The largest difference allowed between this machine's clock and PostHog's. Beyond it, a run that moves would soon look as if it did not: every
/// threshold compares the current time with an earlier one.
pub const CLOCKS_AGREE: SignedDuration = SignedDuration::from_mins(5);

fn forget_time_to_come(at: &mut Lax<Timestamp>, now: Timestamp) {
    if matches!(at, Lax::Is(at) if at.duration_since(now) > MAX_CLOCK_SKEW) {
        *at = Lax::Odd;
    }
}

/// The interval that `PostHog` gives a table unless somebody chooses another.
pub const DEFAULT_INTERVAL: SignedDuration = SignedDuration::from_hours(6);

/// The longest interval that `PostHog` offers.
pub const LONGEST_INTERVAL: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Longest interval between syncs that is accepted: a year.
const MOST_MINUTES: i64 = 366 * 24 * 60;

/// The ways in which a table can be synced that this version knows.
const SYNC_TYPES: [&str; 6] = [
    "full_refresh",
    "incremental",
    "append",
    "webhook",
    "cdc",
    "xmin",
];

/// What `PostHog` says of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaStatus {
    /// Never run, or its data was deleted.
    Never,
    /// A run is in progress, at least according to `PostHog`.
    Running,
    /// The last run completed.
    Completed,
    /// The last run failed, or was cancelled.
    Failed,
    /// A legacy state; nothing sets it any more.
    Paused,
    /// Held back by billing.
    Billing,
    /// A value that this version does not know.
    Unknown,
}

impl Schema {
    /// True only if syncing is certainly switched on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.should_sync == Lax::Is(true)
    }

    /// True only if syncing is certainly switched off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.should_sync == Lax::Is(false)
    }

    /// Drops what claims to have happened later than `now`: some clock is wrong, and a time to come would hide for years what happens
    /// until then.
    pub(crate) fn forget_times_to_come(&mut self, now: Timestamp) {
        forget_time_to_come(&mut self.last_synced_at, now);
    }

    /// True if its last success certainly began after `since`. It is dated by `PostHog`'s clock, `since` and `now` by the
    /// operator's: no difference of the clocks may explain it.
    #[must_use]
    pub fn has_synced_since(&self, since: Timestamp, now: Timestamp) -> bool {
        self.last_synced_at.get().is_some_and(|at| {
            at.duration_since(since) > CLOCKS_AGREE && at.duration_since(now) <= CLOCKS_AGREE
        })
    }

    /// How often it is synced: a number and a unit, from `1min` (legacy: still shown, no longer accepted) to `30day`. None if `PostHog`
    /// says `never`, nothing, or what this version does not know.
    #[must_use]
    pub fn frequency(&self) -> Option<SignedDuration> {
        let said = self.sync_frequency.get()?.as_str();
        let unit = said.trim_start_matches(|c: char| c.is_ascii_digit());
        let minutes = match unit {
            "min" => 1,
            "hour" => 60,
            "day" => 24 * 60,
            "week" => 7 * 24 * 60,
            _ => return None,
        };
        let count: i64 = said.strip_suffix(unit)?.parse().ok()?;
        let minutes = count.checked_mul(minutes)?;
        (1..=MOST_MINUTES)
            .contains(&minutes)
            .then(|| SignedDuration::from_mins(minutes))
    }

    /// When its last success began; none if that time is in the future: then it is another clock's.
    #[must_use]
    pub fn synced_at(&self, now: Timestamp) -> Option<Timestamp> {
        let at = self.last_synced_at.get().copied();
        at.filter(|at| at.duration_since(now) <= MAX_CLOCK_SKEW)
    }

    /// True if its sync interval is `never`: `PostHog` runs it only on request.
    #[must_use]
    pub fn is_never_scheduled(&self) -> bool {
        let frequency = self.sync_frequency.get();
        frequency.is_some_and(|word| word.as_str() == "never")
    }

    /// True if it shows an interval that this version knows, or that it has none.
    #[must_use]
    pub fn shows_interval(&self) -> bool {
        self.is_never_scheduled() || self.frequency().is_some()
    }

    /// What its row says that this version does not know.
    pub fn unfamiliar(&self) -> impl Iterator<Item = (UnfamiliarKind, &str)> {
        let status = self
            .status
            .get()
            .filter(|_| self.status() == SchemaStatus::Unknown);
        let sync_type = self
            .sync_type
            .get()
            .filter(|by| !SYNC_TYPES.contains(&by.as_str()));
        let frequency = self.sync_frequency.get().filter(|_| !self.shows_interval());
        [
            (UnfamiliarKind::TableStatus, status),
            (UnfamiliarKind::SyncType, sync_type),
            (UnfamiliarKind::Frequency, frequency),
        ]
        .into_iter()
        .filter_map(|(kind, word)| Some((kind, word?.as_str())))
    }

    /// Rows in its table, as far as they are known.
    #[must_use]
    pub fn rows(&self) -> Option<i64> {
        self.table.as_ref()?.row_count.get().copied()
    }

    /// True if it is synced by this method.
    #[must_use]
    pub fn syncs_by(&self, method: &str) -> bool {
        self.sync_type.get().is_some_and(|own| own == method)
    }

    /// True if it shows an error, even an old one.
    #[must_use]
    pub fn has_error(&self) -> bool {
        let text = self.latest_error.get();
        text.is_some_and(|text| !text.trim().is_empty())
    }

    /// True for a table that is off and says Completed beside an error, which a success would have cleared: only `PostHog`'s discovery
    /// leaves that, when the source does not show the table.
    #[must_use]
    pub fn is_painted(&self) -> bool {
        self.is_off() && self.status() == SchemaStatus::Completed && self.has_error()
    }

    /// The status, read. Serialised and stored spellings are both known.
    #[must_use]
    pub fn status(&self) -> SchemaStatus {
        match &self.status {
            Lax::Null => SchemaStatus::Never,
            Lax::Missing | Lax::Odd => SchemaStatus::Unknown,
            Lax::Is(text) => match text.as_str() {
                "Running" => SchemaStatus::Running,
                "Completed" => SchemaStatus::Completed,
                "Failed" => SchemaStatus::Failed,
                "Paused" => SchemaStatus::Paused,
                other if is_billing(other) => SchemaStatus::Billing,
                _ => SchemaStatus::Unknown,
            },
        }
    }
}

/// One run of a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// UUID.
    #[serde(deserialize_with = "lax::id")]
    pub id: String,
    /// When it began.
    #[serde(default)]
    pub created_at: Lax<Timestamp>,
    /// When it ended; null while it runs.
    #[serde(default)]
    pub finished_at: Lax<Timestamp>,
    /// Its status.
    #[serde(default)]
    pub status: Lax<String>,
    /// Its table.
    #[serde(default)]
    pub schema: Option<JobSchema>,
    /// Rows that it has synced so far.
    #[serde(default)]
    pub rows_synced: Lax<i64>,
    /// Text of its error.
    #[serde(default)]
    pub latest_error: Lax<String>,
    /// Id of the run in the log.
    #[serde(default)]
    pub workflow_run_id: Lax<String>,
    /// Set on the rows of a run of change data capture. With `cdc_table_mode: both` one run has two rows, told apart by it.
    #[serde(default)]
    pub cdc_write_mode: Lax<String>,
    /// False for a run that resumes without billing: its log lines stand under another id.
    #[serde(default)]
    pub billable: Lax<bool>,
    /// Where the rows go beside the warehouse. A run is over only when each has them.
    #[serde(default)]
    pub destination_ids: serde_json::Value,
}

/// The table of a job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobSchema {
    /// UUID.
    pub id: String,
    /// For example `public.orders`.
    #[serde(default)]
    pub name: Lax<String>,
    /// Begin of the last success of the table.
    #[serde(default)]
    pub last_synced_at: Lax<Timestamp>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// In progress.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly, or was cancelled.
    Failed,
    /// Held back by billing.
    Billing,
    /// A value that this version does not know.
    Unknown,
}

impl Job {
    /// True if its table was synced since it began: it has loaded everything, and tidies up.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        let synced = self
            .schema
            .as_ref()
            .and_then(|schema| schema.last_synced_at.get());
        synced.is_some_and(|at| self.created_at.get().is_some_and(|began| at >= began))
    }

    /// Drops the end if it claims to be later than `now`. A start in the future makes the whole list of runs unclear instead.
    pub(crate) fn forget_times_to_come(&mut self, now: Timestamp) {
        forget_time_to_come(&mut self.finished_at, now);
    }

    /// The status, read.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        match self.status.get().map(String::as_str) {
            Some("Running") => JobStatus::Running,
            Some("Completed") => JobStatus::Completed,
            Some("Failed") => JobStatus::Failed,
            Some(text) if is_billing(text) => JobStatus::Billing,
            Some(_) | None => JobStatus::Unknown,
        }
    }

    /// True if it is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.status() {
            JobStatus::Completed | JobStatus::Failed | JobStatus::Billing => true,
            JobStatus::Running | JobStatus::Unknown => false,
        }
    }

    /// Its status, if this version does not know it.
    #[must_use]
    pub fn unfamiliar_status(&self) -> Option<&str> {
        let status = self.status.get()?;
        (self.status() == JobStatus::Unknown).then_some(status)
    }

    /// Why the silence of this run can never be judged from outside, if so.
    #[must_use]
    pub fn why_opaque(&self) -> Option<&'static str> {
        let destinations = match &self.destination_ids {
            serde_json::Value::Null => 0,
            serde_json::Value::Array(ids) => ids.len(),
            _ => usize::MAX,
        };
        if self.cdc_write_mode.get().is_some() || self.cdc_write_mode == Lax::Odd {
            Some("it is a run of change data capture, which waits for earlier batches silently")
        } else if self.billable == Lax::Is(false) || self.billable == Lax::Odd {
            Some("it resumes without billing, and its log lines have another id")
        } else if destinations > 1 {
            Some("it delivers to several destinations, which show no progress")
        } else if self.workflow_run_id.get().is_none_or(String::is_empty) {
            Some("it has no workflow id, so PostHog can neither log nor cancel it")
        } else if self.status() == JobStatus::Running
            && matches!(self.finished_at, Lax::Is(_) | Lax::Odd)
        {
            Some("PostHog lists it as Running, but also when it ended")
        } else {
            None
        }
    }

    /// True if somebody stopped it: it is called Failed, but nothing failed.
    #[must_use]
    pub fn was_stopped(&self) -> bool {
        let said = self
            .latest_error
            .get()
            .map(|text| text.trim().trim_end_matches('.'));
        said.is_some_and(|said| STOPPED.iter().any(|note| said.eq_ignore_ascii_case(note)))
    }
}

/// What `PostHog` leaves as the error of a run that somebody stopped.
pub const STOPPED: [&str; 4] = [
    "Sync cancelled by user",
    "Sync stopped because the table was deleted",
    "Cancelled",
    "Sync stopped because syncing was turned off",
];

/// The stored names and what the serialisers make of them; the job's differs from the table's by one letter.
fn is_billing(status: &str) -> bool {
    matches!(
        status,
        "BillingLimitReached"
            | "BillingLimitTooLow"
            | "Billing limits"
            | "Billing limits too low"
            | "Billing limit too low"
    )
}

/// A line of a table's log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LogLine {
    /// When it was written.
    #[serde(default)]
    pub timestamp: Lax<Timestamp>,
    /// The run that it belongs to: the `workflow_run_id` of a job, or of a start that made no job.
    #[serde(default)]
    pub instance_id: Lax<String>,
    /// What it says.
    #[serde(default)]
    pub message: Lax<String>,
}

/// A page of a table's log.
#[derive(Debug, Deserialize)]
pub struct LogPage {
    /// The lines, newest first.
    pub results: Vec<LogLine>,
}

/// An error body, in any of `PostHog`'s four shapes.
#[derive(Debug, Default, Deserialize)]
pub struct ErrorBody {
    #[serde(default)]
    detail: Lax<String>,
    #[serde(default)]
    message: Lax<String>,
    #[serde(default)]
    error: Lax<String>,
    #[serde(default)]
    errors: Option<serde_json::Value>,
}

impl ErrorBody {
    /// The sentence in it, at any position.
    #[must_use]
    pub fn text(self) -> Option<String> {
        let first = |errors: serde_json::Value| match errors {
            serde_json::Value::Array(list) => list
                .into_iter()
                .next()
                .map(|e| e.as_str().map_or_else(|| e.to_string(), str::to_owned)),
            serde_json::Value::String(text) => Some(text),
            _ => None,
        };
        let own = |lax: Lax<String>| lax.get().cloned();
        own(self.detail)
            .or_else(|| own(self.message))
            .or_else(|| own(self.error))
            .or_else(|| self.errors.and_then(first))
    }
}

/// The answer of cancel: empty, or a sentence.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Detail {
    /// The sentence.
    #[serde(default)]
    pub detail: Lax<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(status: &str) -> SchemaStatus {
        let json = format!(r#"{{"id":"a1","name":"public.orders","status":{status}}}"#);
        serde_json::from_str::<Schema>(&json).unwrap().status()
    }

    #[test]
    fn both_spellings_of_billing_are_known_and_nothing_else_is_guessed() {
        assert_eq!(schema(r#""Billing limits too low""#), SchemaStatus::Billing);
        assert_eq!(schema(r#""BillingLimitReached""#), SchemaStatus::Billing);
        assert_eq!(schema("null"), SchemaStatus::Never);
        for odd in [r#""running""#, r#""Cancelled""#, "7", "{}"] {
            assert_eq!(schema(odd), SchemaStatus::Unknown, "{odd}");
        }
    }

    #[test]
    fn the_four_error_shapes_are_read() {
        for (body, text) in [
            (
                r#"{"type":"validation_error","code":"invalid_input","detail":"No such field.","attr":null}"#,
                "No such field.",
            ),
            (
                r#"{"message":"Monthly sync limit reached."}"#,
                "Monthly sync limit reached.",
            ),
            (
                r#"{"detail":"The sync already finished."}"#,
                "The sync already finished.",
            ),
            (
                r#"{"success":false,"error":"No inputs provided"}"#,
                "No inputs provided",
            ),
            (r#"{"errors":["slot missing","other"]}"#, "slot missing"),
        ] {
            assert_eq!(
                serde_json::from_str::<ErrorBody>(body)
                    .unwrap()
                    .text()
                    .as_deref(),
                Some(text)
            );
        }
    }

    #[test]
    fn a_source_row_with_unknown_fields_and_values_is_read() {
        let json = r#"{"id":"0196f0aa-0000","source_type":null,"prefix":7,"brand_new":{"x":[1]},"access_method":"teleport",
            "schemas":[{"id":"a1","name":"t","should_sync":"yes","last_synced_at":"soon","table":{"row_count":1}}]}"#;
        let source: Source = serde_json::from_str(json).unwrap();
        assert!(!source.is_warehouse());
        assert_eq!(source.title(), "0196f0aa-0000");
        assert!(
            source.schemas[0].should_sync.is_unknown()
                && source.schemas[0].last_synced_at.is_unknown()
        );
    }

    #[test]
    fn an_id_that_could_change_the_path_is_refused() {
        for id in ["", "../other", "a/b", "a?b"] {
            assert!(
                serde_json::from_str::<Schema>(&format!(r#"{{"id":"{id}","name":"t"}}"#)).is_err()
            );
        }
    }
}
