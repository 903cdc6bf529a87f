//! What queries find in a table. The simulator keeps no rows: a scenario says what a query would return.

use jiff::{SignedDuration, Timestamp};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::clock::{minus, text};
use crate::column::Column;
use crate::period;
use crate::state::Schema;

/// What queries find in a table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSpec {
    /// How many rows queries see; those of its row, if none.
    pub rows: Option<u64>,
    /// Keys that occur more than once: one entry, or several.
    #[serde(deserialize_with = "one_or_more")]
    pub duplicates: Vec<Duplicates>,
    /// The newest values of columns: one entry, or several.
    #[serde(deserialize_with = "one_or_more")]
    pub newest: Vec<Newest>,
}

/// Keys that occur more than once.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Duplicates {
    /// The columns whose values occur together more than once. Those of any part of them then do, too.
    pub columns: Vec<String>,
    /// How many values do.
    pub groups: u64,
    /// The rows beyond the first of each: at least one each, which is the default.
    pub extra_rows: Option<u64>,
}

impl Duplicates {
    fn rows(&self) -> u64 {
        self.groups
            .saturating_add(self.extra_rows.unwrap_or(self.groups))
    }
}

/// The newest value of a column, told in one of three ways.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    /// The column.
    pub column: String,
    /// How old it is, counted back from when this was said: it stays where it is.
    #[serde(default, deserialize_with = "period::option::deserialize")]
    pub at_ago: Option<SignedDuration>,
    /// How much older it is than the start of the last success: it moves with each.
    #[serde(default, deserialize_with = "period::option::deserialize")]
    pub behind_sync: Option<SignedDuration>,
    /// The value itself, of any type.
    pub value: Option<Value>,
}

impl DataSpec {
    /// What cannot be, if it says such a thing.
    pub(crate) fn check(&self) -> Result<(), String> {
        let too_few = |own: &&Duplicates| own.extra_rows.is_some_and(|extra| extra < own.groups);
        if let Some(own) = self.duplicates.iter().find(too_few) {
            return Err(format!(
                "has {} duplicated keys and fewer extra rows",
                own.groups
            ));
        }
        let ways = |own: &Newest| {
            usize::from(own.at_ago.is_some())
                + usize::from(own.behind_sync.is_some())
                + usize::from(own.value.is_some())
        };
        match self.newest.iter().find(|own| ways(own) != 1) {
            Some(own) => Err(format!(
                "needs one of `at_ago`, `behind_sync` and `value` for its newest {}",
                own.column
            )),
            None => Ok(()),
        }
    }
}

impl Schema {
    fn rows_seen(&self) -> u64 {
        let stored = self.table.as_ref().map_or(0, |table| table.rows);
        self.spec.data.rows.unwrap_or(stored)
    }

    /// How many values of those columns occur more than once, and in how many rows.
    pub(crate) fn duplicates(&self, columns: &[String]) -> (u64, u64) {
        let covered = |own: &&Duplicates| columns.iter().all(|column| own.columns.contains(column));
        match self.spec.data.duplicates.iter().find(covered) {
            Some(own) if self.rows_seen() > 0 => (own.groups, own.rows()),
            _ => (0, 0),
        }
    }

    /// The newest value of a column: what the scenario says, or else something that suits its type.
    pub(crate) fn newest(&self, column: &Column) -> Value {
        if self.rows_seen() == 0 {
            return Value::Null;
        }
        let said = self.spec.data.newest.iter();
        match said.into_iter().find(|own| own.column == column.name) {
            Some(own) => self.said(own, column),
            None => self.made_up(column),
        }
    }

    fn said(&self, own: &Newest, column: &Column) -> Value {
        let fixed = own.at_ago.map(|ago| minus(self.data_since, ago));
        let moving = || Some(minus(self.last_synced_at?, own.behind_sync?));
        own.value
            .clone()
            .unwrap_or_else(|| json!(fixed.or_else(moving).map(|at| written(at, column))))
    }

    fn made_up(&self, column: &Column) -> Value {
        match column.kind.as_str() {
            "integer" | "float" | "decimal" => json!(self.rows_seen()),
            "datetime" | "date" => json!(self.last_synced_at.map(|at| written(at, column))),
            _ => json!("z"),
        }
    }
}

fn written(at: Timestamp, column: &Column) -> String {
    if column.kind == "date" {
        at.strftime("%Y-%m-%d").to_string()
    } else {
        text(at)
    }
}

/// One entry may stand where a list of them may.
fn one_or_more<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(Vec::new()),
        list @ Value::Array(_) => serde_json::from_value(list).map_err(D::Error::custom),
        one => Ok(vec![serde_json::from_value(one).map_err(D::Error::custom)?]),
    }
}
