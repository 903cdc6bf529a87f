//! What is in a status that should not be there.

use serde_json::{Map, Value};

use crate::api::WarehouseSyncPolicyStatus;

/// The merge patch that turns the status `found` into the status `wanted`; none if they are the same.
pub fn patch(
    found: Option<&WarehouseSyncPolicyStatus>,
    wanted: &WarehouseSyncPolicyStatus,
) -> Option<Value> {
    // Both as they are on the wire, which leaves out what is empty.
    let found = serde_json::to_value(found?).ok()?;
    let wanted = serde_json::to_value(wanted).ok()?;
    (found != wanted).then(|| merge(&found, &wanted))
}

/// Lists are replaced as a whole, what is too much in an object is set to null.
fn merge(found: &Value, wanted: &Value) -> Value {
    let (Value::Object(found), Value::Object(wanted)) = (found, wanted) else {
        return wanted.clone();
    };
    let too_much = found.keys().filter(|key| !wanted.contains_key(*key));
    let mut patch: Map<String, Value> = too_much.map(|key| (key.clone(), Value::Null)).collect();
    for (key, wanted) in wanted {
        match found.get(key) {
            Some(found) if found == wanted => {}
            Some(found) => {
                patch.insert(key.clone(), merge(found, wanted));
            }
            None => {
                patch.insert(key.clone(), wanted.clone());
            }
        }
    }
    Value::Object(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_superfluous_fields_are_removed() {
        let found = json!({"a": 1, "old": 2, "same": {"x": 1}, "in": {"keep": 1, "old": {"y": 1}}, "list": [1, 2, 3]});
        let wanted = json!({"a": 1, "same": {"x": 1}, "in": {"keep": 1}, "list": [1, 3]});
        assert_eq!(
            merge(&found, &wanted),
            json!({"old": null, "in": {"old": null}, "list": [1, 3]})
        );
    }

    #[test]
    fn a_correct_status_is_not_changed() {
        let status = WarehouseSyncPolicyStatus::default();
        assert_eq!(patch(Some(&status), &status), None);
        let mut other = status.clone();
        other.observed_generation = Some(7);
        assert_eq!(
            patch(Some(&other), &status),
            Some(json!({"observedGeneration": null}))
        );
        // Without a status there is nothing to remove.
        assert_eq!(patch(None, &status), None);
    }
}
