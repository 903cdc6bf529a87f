//! Questions about the data of a table, as queries. Names come from the policy and are used only if the table has such a
//! column; the answer is a count or a time, never a value.

use jiff::{Timestamp, civil};

use super::probes::Found;
use crate::{
    api::validated::DataRule,
    posthog::{probe::QueryAnswer, probe::StoredTable},
};

/// Longest name of a table or column that is put into a query, in bytes.
const NAME_CAP: usize = 256;

/// The query for `rule`, or why there is none.
pub fn query(rule: &DataRule, table: &StoredTable) -> Result<String, String> {
    let name = table
        .hogql_name
        .get()
        .ok_or("PostHog does not show the table's name for queries")?;
    let name = name
        .split('.')
        .map(quoted)
        .collect::<Result<Vec<_>, _>>()?
        .join(".");
    match rule {
        DataRule::UniqueKey(columns) => {
            let columns = columns
                .iter()
                .map(|column| column_of(table, column))
                .collect::<Result<Vec<_>, _>>()?
                .join(", ");
            Ok(format!(
                "SELECT count() AS groups, sum(n) AS rows FROM (SELECT count() AS n FROM {name} GROUP BY {columns} HAVING n > 1)"
            ))
        }
        DataRule::NewestRow { column, max_age: _ } => Ok(format!(
            "SELECT max({}) FROM {name}",
            column_of(table, column)?
        )),
    }
}

fn column_of(table: &StoredTable, column: &str) -> Result<String, String> {
    let known = table
        .columns
        .iter()
        .any(|own| own.name.get().is_some_and(|own| own == column));
    if known {
        quoted(column)
    } else {
        Err(format!("the table has no column {column:?}"))
    }
}

/// A name in backquotes. One that could end the quotes is refused rather than escaped.
fn quoted(name: &str) -> Result<String, String> {
    let odd = |c: char| c == '`' || c == '\\' || c.is_control();
    if name.is_empty() || name.len() > NAME_CAP || name.contains(odd) {
        return Err(format!("{name:?} cannot be used in a query"));
    }
    Ok(format!("`{name}`"))
}

/// Reads the one row that [`query`] asks for.
pub fn read(rule: &DataRule, answer: &QueryAnswer) -> Result<Found, String> {
    let row = answer.results.first().ok_or("the query returned no row")?;
    let cell = |place: usize| row.get(place).unwrap_or(&serde_json::Value::Null);
    match rule {
        DataRule::UniqueKey(_) => Ok(Found::Duplicates {
            keys: count(cell(0))?,
            rows: count(cell(1))?,
        }),
        DataRule::NewestRow { .. } => time(cell(0)).map(Found::Newest),
    }
}

fn count(value: &serde_json::Value) -> Result<i64, String> {
    match value {
        // The sum of nothing.
        serde_json::Value::Null => Ok(0),
        other => other
            .as_i64()
            .or_else(|| other.as_str()?.parse().ok())
            .ok_or_else(|| "the query returned no count".to_owned()),
    }
}

/// A time, or a date, in UTC if it has no zone. A number is not interpreted: it may be anything.
fn time(value: &serde_json::Value) -> Result<Option<Timestamp>, String> {
    let unreadable = || "the newest value of the column is not a time".to_owned();
    let text = match value {
        serde_json::Value::Null => return Ok(None),
        other => other.as_str().ok_or_else(unreadable)?.trim(),
    };
    let naive = || {
        let civil: civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok()
    };
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| naive().map(|zoned| zoned.timestamp()))
        .map(Some)
        .ok_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> StoredTable {
        serde_json::from_str(
            r#"{"hogql_name":"postgres.prod.orders","columns":[{"name":"id"},{"name":"order line"},{"name":"a`b"}]}"#,
        )
        .unwrap()
    }

    fn unique(columns: &[&str]) -> DataRule {
        DataRule::UniqueKey(columns.iter().map(|column| (*column).to_owned()).collect())
    }

    #[test]
    fn a_query_names_only_columns_that_the_table_has() {
        assert_eq!(
            query(&unique(&["id", "order line"]), &table()).unwrap(),
            "SELECT count() AS groups, sum(n) AS rows FROM (SELECT count() AS n FROM `postgres`.`prod`.`orders` GROUP BY `id`, `order line` HAVING n > 1)"
        );
        for column in ["gone", "id) FROM other --", "a`b", ""] {
            assert!(query(&unique(&[column]), &table()).is_err(), "{column}");
        }
    }

    #[test]
    fn times_are_read_as_the_warehouse_writes_them_and_numbers_are_not_guessed() {
        let read = |json: &str| time(&serde_json::from_str(json).unwrap());
        let expected: Timestamp = "2026-10-01T10:00:00Z".parse().unwrap();
        for json in [
            r#""2026-10-01T10:00:00Z""#,
            r#""2026-10-01 10:00:00""#,
            r#""2026-10-01 10:00:00.000000""#,
            r#""2026-10-01T12:00:00+02:00""#,
        ] {
            assert_eq!(read(json), Ok(Some(expected)), "{json}");
        }
        assert_eq!(
            read(r#""2026-10-01""#),
            Ok(Some("2026-10-01T00:00:00Z".parse().unwrap()))
        );
        assert_eq!(read("null"), Ok(None));
        assert!(read("1727776800").is_err() && read(r#""soon""#).is_err());
    }

    #[test]
    fn counts_are_read_also_when_nothing_is_summed() {
        let answer = |json: &str| read(&unique(&["id"]), &serde_json::from_str(json).unwrap());
        assert_eq!(
            answer(r#"{"results":[[3,7]]}"#),
            Ok(Found::Duplicates { keys: 3, rows: 7 })
        );
        assert_eq!(
            answer(r#"{"results":[[0,null]]}"#),
            Ok(Found::Duplicates { keys: 0, rows: 0 })
        );
        assert!(answer(r#"{"results":[]}"#).is_err());
        assert!(answer(r#"{"results":[["many",1]]}"#).is_err());
    }
}
