//! Which primary key would be proposed, and which incremental field.

use crate::{
    api::proposal::{MAX_COLUMN, MAX_KEY_COLUMNS},
    decide::words::next_action as words,
    posthog::{
        probe::{Field, IncrementalFields, SchemaDetail},
        redact,
        write::{FieldType, IncrementalField},
    },
};

/// The key to propose for a table whose key failed, or, if there is none, what a person has to do.
///
/// `declared` is what the policy says, `at_source` what the customer's source answered, `failed` the key with which syncing
/// failed.
pub fn key(
    declared: &[String],
    at_source: Option<&IncrementalFields>,
    failed: Option<&[String]>,
) -> Result<Vec<String>, String> {
    let detected = at_source.and_then(|fields| fields.detected_primary_keys.as_deref());
    let (key, whose) = match (declared, detected, failed) {
        ([], Some(detected @ [_, ..]), _) => (detected, words::DETECTED),
        ([], _, _) => {
            return Err(words::no_key());
        }
        (declared, _, _) => (declared, words::DECLARED),
    };
    let shown = redact::one_line(&key.join(", "), 160);
    if failed.is_some_and(|failed| same(failed, key)) {
        return Err(words::key_failed(whose, &shown));
    }
    if let Some(gone) = declared
        .iter()
        .find(|column| at_source.and_then(|fields| fields.tells_of(column)) == Some(false))
    {
        return Err(words::key_lacks_column(whose, &shown, gone));
    }
    if key.len() > MAX_KEY_COLUMNS || !key.iter().all(|column| is_plain(column)) {
        return Err(words::key_too_long(whose, &shown));
    }
    Ok(key.to_vec())
}

/// True if two keys have the same columns, in any order.
fn same(a: &[String], b: &[String]) -> bool {
    let sorted = |key: &[String]| {
        let mut key = key.to_vec();
        key.sort();
        key
    };
    sorted(a) == sorted(b)
}

/// The incremental field to propose for a table whose own no longer exists, or what a person has to do. `declared` is what the policy says.
pub fn field(
    detail: &SchemaDetail,
    at_source: &IncrementalFields,
    declared: Option<&str>,
) -> Result<IncrementalField, String> {
    let own = detail.incremental_field.get();
    let Some(own) = own.filter(|own| at_source.has_column(own) == Some(false)) else {
        return Err(words::FIELD_EXISTS.to_owned());
    };
    let candidates = at_source.incremental_fields.iter().filter_map(candidate);
    let candidates: Vec<IncrementalField> = candidates.collect();
    let own = redact::one_line(own, 80);
    if let Some(declared) = declared {
        let chosen = candidates.into_iter().find(|one| one.name == declared);
        return chosen.ok_or_else(|| words::declared_field_unusable(&own, declared));
    }
    let kind = detail.incremental_field_type.get();
    let kind = kind.and_then(|kind| FieldType::parse(kind));
    let same = |one: &&IncrementalField| kind.is_none_or(|kind| one.kind == kind);
    let fitting: Vec<&IncrementalField> = candidates.iter().filter(same).collect();
    match (fitting.as_slice(), candidates.as_slice()) {
        ([only], _) => Ok((*only).clone()),
        (_, []) => Err(words::no_field(&own)),
        ([], [other, ..]) => Err(words::no_field_of_type(&own, &other.name)),
        ([one, other, ..], _) => Err(words::several_fields(&own, &one.name, &other.name)),
    }
}

fn candidate(field: &Field) -> Option<IncrementalField> {
    let name = field.field.get().filter(|name| is_plain(name))?;
    let kind = FieldType::parse(field.field_type.get()?)?;
    Some(IncrementalField {
        name: name.clone(),
        kind,
    })
}

/// True for a name that is shown as it is: what a person approves must be what is sent.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && redact::one_line(name, MAX_COLUMN) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> IncrementalFields {
        serde_json::from_str(json).unwrap()
    }

    fn own(columns: &[&str]) -> Vec<String> {
        columns.iter().map(|column| (*column).to_owned()).collect()
    }

    #[test]
    fn a_declared_key_comes_before_a_detected_one_and_neither_is_the_one_that_failed() {
        let detected = fields(r#"{"detected_primary_keys":["id"]}"#);
        let failed = own(&["a", "b"]);
        for (declared, at_source, failed, expected) in [
            (&["x"][..], Some(&detected), None, Some("x")),
            (&[], Some(&detected), None, Some("id")),
            (&[], Some(&detected), Some(&failed), Some("id")),
            (&["b", "a"], Some(&detected), Some(&failed), None),
            (&[], None, None, None),
        ] {
            let key = key(&own(declared), at_source, failed.map(Vec::as_slice));
            assert_eq!(key.ok(), expected.map(|one| own(&[one])), "{declared:?}");
        }
    }

    #[test]
    fn a_key_of_a_column_that_the_source_lacks_is_not_proposed() {
        let fields = fields(r#"{"available_columns":[{"field":"id"}]}"#);
        assert!(key(&own(&["id"]), Some(&fields), None).is_ok());
        let refused = key(&own(&["id", "line"]), Some(&fields), None).unwrap_err();
        assert!(refused.contains("that the source lacks, line"), "{refused}");
    }

    #[test]
    fn a_field_is_proposed_only_if_its_own_no_longer_exists_and_one_other_fits() {
        let detail = |field: &str| -> SchemaDetail {
            let json = format!(r#"{{"id":"a","name":"t","incremental_field":{field}}}"#);
            serde_json::from_str(&json).unwrap()
        };
        let one = r#"{"field":"b","field_type":"timestamp"}"#;
        for (own, candidates, fits) in [
            (r#""a""#, one.to_owned(), true),
            (r#""b""#, one.to_owned(), false),
            ("null", one.to_owned(), false),
            (r#""a""#, String::new(), false),
            (
                r#""a""#,
                format!(r#"{one},{{"field":"c","field_type":"date"}}"#),
                false,
            ),
            (
                r#""a""#,
                format!(r#"{one},{{"field":"c","field_type":"xid"}}"#),
                true,
            ),
            (
                r#""a""#,
                r#"{"field":"b\nb","field_type":"date"}"#.to_owned(),
                false,
            ),
        ] {
            let at_source = fields(&format!(
                r#"{{"incremental_fields":[{candidates}],"available_columns":[{{"field":"id"}}]}}"#
            ));
            let found = field(&detail(own), &at_source, None);
            assert_eq!(found.is_ok(), fits, "{own} {candidates}: {found:?}");
        }
    }

    #[test]
    fn of_several_fields_the_one_of_the_old_type_is_proposed_or_the_one_that_is_declared() {
        let detail: SchemaDetail = serde_json::from_str(
            r#"{"id":"a","name":"t","incremental_field":"updated_at","incremental_field_type":"timestamp"}"#,
        )
        .unwrap();
        let at_source = |names: &[(&str, &str)]| {
            let named = |(name, kind): &(&str, &str)| {
                format!(r#"{{"field":"{name}","field_type":"{kind}"}}"#)
            };
            let all: Vec<String> = names.iter().map(named).collect();
            fields(&format!(r#"{{"incremental_fields":[{}]}}"#, all.join(",")))
        };
        let id = ("id", "integer");
        let (modified, seen) = (("modified_at", "timestamp"), ("seen_at", "timestamp"));
        for (names, declared, proposed) in [
            (&[id, modified][..], None, Some("modified_at")),
            (&[id, modified, seen], None, None),
            (&[id, modified, seen], Some("seen_at"), Some("seen_at")),
            (&[id, modified], Some("id"), Some("id")),
            (&[id, modified], Some("gone_too"), None),
            (&[id], None, None),
        ] {
            let found = field(&detail, &at_source(names), declared);
            let found = found.ok().map(|field| field.name);
            assert_eq!(found.as_deref(), proposed, "{names:?} {declared:?}");
        }
    }
}
