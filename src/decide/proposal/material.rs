//! The id of a proposal: a content address of its material.
//!
//! Two letters for the action, a hyphen, and the first 26 characters of the SHA-256 of the canonical JSON in base32 (the
//! alphabet of RFC 4648 in lower case, which every `base32` tool knows, and which may stand in the name of an annotation):
//! 130 bits. Canonical means: names of fields in order, no spaces, fields without a value left out.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::key::Key;
use crate::api::proposal::Material;

/// 32 random bytes, generated for each reconcile: the nonces of its proposals are derived from them.
pub type Seed = [u8; 32];

/// Version of the format of the material.
pub const VERSION: i64 = 1;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = 26;

/// The id of a proposal of this material.
#[must_use]
pub fn id(material: &Material) -> String {
    // Material always serializes to JSON; if it did not, the id would match no material that is read back.
    let json = serde_json::to_value(material).unwrap_or_default();
    let mut canonical = String::new();
    write_canonical(&json, &mut canonical);
    let digest = Sha256::digest(canonical.as_bytes());
    format!("{}-{}", material.action.code(), base32(&digest))
}

/// A nonce for the proposal about `key`, different for each proposal of a reconcile and for each reconcile.
#[must_use]
pub fn nonce(seed: &Seed, key: &Key) -> String {
    let mut hash = Sha256::new();
    hash.update(seed);
    for part in [
        key.source_id.as_str(),
        key.schema_id.as_deref().unwrap_or_default(),
        key.cause.as_str(),
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut nonce = String::new();
    for byte in &hash.finalize()[..16] {
        // Writing to a string cannot fail.
        let _ = write!(nonce, "{byte:02x}");
    }
    nonce
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            // Not left to the map, whose order depends on a feature of its crate.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            let fields = fields.into_iter().map(|(name, value)| (Some(name), value));
            write_all(('{', '}'), fields, out);
        }
        Value::Array(items) => write_all(('[', ']'), items.iter().map(|item| (None, item)), out),
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_all<'a>(
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    out: &mut String,
) {
    out.push(open);
    for (place, (name, item)) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        if let Some(name) = name {
            out.push_str(&Value::from(name.as_str()).to_string());
            out.push(':');
        }
        write_canonical(item, out);
    }
    out.push(close);
}

fn base32(bytes: &[u8]) -> String {
    let bit = |place: usize| {
        let byte = bytes.get(place / 8).copied().unwrap_or_default();
        usize::from(byte >> (7 - place % 8) & 1)
    };
    (0..LENGTH)
        .map(|place| (0..5).fold(0, |index, next| index << 1 | bit(place * 5 + next)))
        .map(|index| char::from(ALPHABET[index]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        proposal::{ProposedAction, ProposedCall, ProposedStep},
        status::RootCause,
    };

    fn material() -> Material {
        Material {
            version: VERSION,
            nonce: "000102030405060708090a0b0c0d0e0f".to_owned(),
            policy_uid: "u1".to_owned(),
            action: ProposedAction::RepairConfig,
            steps: vec![ProposedStep {
                call: ProposedCall::PatchSchema,
                switch_on: false,
                incremental_field: Some("modified_at".to_owned()),
                incremental_field_type: Some("timestamp".to_owned()),
                primary_key_columns: None,
                sync_type: None,
                schema_ids: Vec::new(),
                job_id: None,
            }],
            host: "https://us.posthog.com".to_owned(),
            project_id: 12345,
            source_id: "s1".to_owned(),
            schema_id: Some("a1".to_owned()),
            sync_type: Some("incremental".to_owned()),
            incremental_field: Some("updated_at \"ü\"".to_owned()),
            primary_keys: Some(vec!["id".to_owned()]),
            cause: RootCause::SchemaDrift,
            rule: "probe/table-found".to_owned(),
            table_id: None,
        }
    }

    #[test]
    fn the_id_is_the_one_that_other_tools_compute() {
        // printf '%s' "$CANONICAL" | sha256sum | xxd -r -p | base32 | tr A-Z a-z | cut -c1-26
        let json = serde_json::to_value(material()).unwrap();
        let mut canonical = String::new();
        write_canonical(&json, &mut canonical);
        assert_eq!(
            canonical,
            "{\"action\":\"RepairConfig\",\"cause\":\"SchemaDrift\",\"host\":\"https://us.posthog.com\",\
             \"incrementalField\":\"updated_at \\\"ü\\\"\",\"nonce\":\"000102030405060708090a0b0c0d0e0f\",\
             \"policyUid\":\"u1\",\"primaryKeys\":[\"id\"],\"projectId\":12345,\"rule\":\"probe/table-found\",\
             \"schemaId\":\"a1\",\"sourceId\":\"s1\",\"steps\":[{\"call\":\"PatchSchema\",\
             \"incrementalField\":\"modified_at\",\"incrementalFieldType\":\"timestamp\"}],\
             \"syncType\":\"incremental\",\"version\":1}"
        );
        assert_eq!(id(&material()), "cf-36xpf4psones4mqmhsmwzk3g5t");
    }

    #[test]
    fn what_is_read_back_from_a_status_has_the_same_id() {
        let json = serde_json::to_string(&material()).unwrap();
        let read: Material = serde_json::from_str(&json).unwrap();
        assert_eq!(id(&read), id(&material()));
    }

    #[test]
    fn each_field_of_the_material_changes_the_id() {
        // Without `..`: a field that is added must be added here.
        let Material {
            version: _,
            nonce: _,
            policy_uid: _,
            action: _,
            steps: _,
            host: _,
            project_id: _,
            source_id: _,
            schema_id: _,
            sync_type: _,
            incremental_field: _,
            primary_keys: _,
            cause: _,
            rule: _,
            table_id: _,
        } = material();
        let changes: [fn(&mut Material); 25] = [
            |m| m.version = 2,
            |m| m.nonce = "0f".repeat(16),
            |m| m.policy_uid = "u2".to_owned(),
            |m| m.action = ProposedAction::Resync,
            |m| m.steps.clear(),
            |m| m.steps.push(m.steps[0].clone()),
            |m| m.steps[0].call = ProposedCall::Reload,
            |m| m.steps[0].switch_on = true,
            |m| m.steps[0].incremental_field = None,
            |m| m.steps[0].incremental_field_type = Some("date".to_owned()),
            |m| m.steps[0].primary_key_columns = Some(vec!["id".to_owned()]),
            |m| m.steps[0].sync_type = Some("webhook".to_owned()),
            |m| m.steps[0].schema_ids = vec!["a1".to_owned()],
            |m| m.steps[0].job_id = Some("j1".to_owned()),
            |m| m.host = "https://eu.posthog.com".to_owned(),
            |m| m.project_id = 1,
            |m| m.source_id = "s2".to_owned(),
            |m| m.schema_id = None,
            |m| m.sync_type = Some("append".to_owned()),
            |m| m.incremental_field = None,
            |m| m.primary_keys = Some(Vec::new()),
            |m| m.primary_keys = None,
            |m| m.cause = RootCause::SourceObjectMissing,
            |m| m.rule = "other".to_owned(),
            |m| m.table_id = Some("t1".to_owned()),
        ];
        let mut ids = std::collections::HashSet::from([id(&material())]);
        for (place, change) in changes.iter().enumerate() {
            let mut other = material();
            change(&mut other);
            assert!(ids.insert(id(&other)), "change {place}");
        }
    }

    #[test]
    fn an_id_may_end_the_name_of_an_annotation() {
        let id = id(&material());
        assert_eq!(id.len(), 29);
        assert!(
            id.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
    }

    #[test]
    fn nonces_differ_by_proposal_and_by_reconcile() {
        let key = |schema_id: Option<&str>| Key {
            source_id: "s".to_owned(),
            schema_id: schema_id.map(str::to_owned),
            cause: RootCause::SchemaDrift,
        };
        let all = [
            nonce(&[1; 32], &key(Some("a"))),
            nonce(&[1; 32], &key(Some("b"))),
            nonce(&[1; 32], &key(None)),
            nonce(&[2; 32], &key(Some("a"))),
        ];
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|nonce| nonce.len() == 32));
    }
}
