//! `spec.health.dataChecks`: checks of the data itself.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use jiff::SignedDuration;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{cel::between, duration::DurationText, invalid::InvalidPolicy, refs::SourceRef};

/// A check of the data of one table: either `uniqueKey` or `newestRow`. It reads counts and times, never values.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.uniqueKey) && size(self.uniqueKey) > 0) != has(self.newestRow)")
    .message("a data check has either uniqueKey or newestRow"))]
pub struct DataCheckSpec {
    /// The source of the table. It must match exactly one source.
    pub source: SourceRef,
    /// Name of the table in PostHog, for example public.orders.
    #[schemars(length(min = 1, max = 256))]
    pub schema: String,
    /// Columns whose combination must be different in each row, from 1 to 8. The finding reports how many keys occur
    /// more than once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    pub unique_key: Vec<String>,
    /// A column with a time, and how old its newest value may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_row: Option<NewestRow>,
}

/// How old the newest row of a table may be.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct NewestRow {
    /// The column, for example created_at: a date or a time, in UTC unless it says otherwise.
    #[schemars(length(min = 1, max = 128))]
    pub column: String,
    /// How old its newest value may be, from 1m to 8760h.
    #[schemars(extend("x-kubernetes-validations" = between("maxAge", "1m", "8760h", "26h")))]
    pub max_age: DurationText,
}

/// A check of the data of one table.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataCheck {
    /// The source.
    pub source: SourceRef,
    /// Name of the table.
    pub schema: String,
    /// The rule.
    pub rule: DataRule,
}

/// A rule for the data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DataRule {
    /// The combination of these columns is different in each row.
    UniqueKey(Vec<String>),
    /// The newest value of this column is not older than this.
    NewestRow {
        /// The column.
        column: String,
        /// The age.
        max_age: SignedDuration,
    },
}

impl DataCheck {
    pub(super) fn new(check: &DataCheckSpec) -> Result<Self, InvalidPolicy> {
        let DataCheckSpec {
            source,
            schema,
            unique_key,
            newest_row,
        } = check;
        let rule = match newest_row {
            Some(NewestRow { column, max_age }) => DataRule::NewestRow {
                column: column.clone(),
                max_age: max_age.read("health.dataChecks[].newestRow.maxAge")?,
            },
            None if unique_key.is_empty() => return Err(InvalidPolicy::EmptyCheck),
            None => DataRule::UniqueKey(unique_key.clone()),
        };
        Ok(Self {
            source: source.clone(),
            schema: schema.clone(),
            rule,
        })
    }
}
