//! Which account the admission policies let write status, by namespace: several installations in one cluster share one set of admission
//! policies, and each namespace belongs to one of them.

use std::collections::BTreeMap;

use serde_json::Value;

/// The variable of an admission policy that lists the accounts, as CEL. A map of texts in JSON is one in CEL, too.
const VARIABLE: &str = "writers";
/// Stands for the namespaces that are not listed.
const OTHERS: &str = "*";

/// The accounts that write status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Writers(BTreeMap<String, String>);

impl Writers {
    /// Those of an admission policy. None if it names no accounts, or not as the chart writes them: any other text could be an expression that
    /// allows more.
    pub(super) fn of(spec: &Value) -> Option<Self> {
        let mut variables = spec.get("variables")?.as_array()?.iter();
        let variable = variables.find(|variable| variable["name"] == VARIABLE)?;
        let text = variable["expression"].as_str()?;
        let writers = Self(serde_json::from_str(text).ok()?);
        (writers.text() == text && writers.0.contains_key(OTHERS)).then_some(writers)
    }

    /// Puts these into an admission policy.
    pub(super) fn put_into(&self, spec: &mut Value) {
        let variables = spec.get_mut("variables").and_then(Value::as_array_mut);
        let mut variables = variables.into_iter().flatten();
        if let Some(variable) = variables.find(|variable| variable["name"] == VARIABLE) {
            variable["expression"] = self.text().into();
        }
    }

    /// The account for this namespace.
    pub(super) fn of_namespace(&self, namespace: &str) -> Option<&str> {
        let writer = self.0.get(namespace).or_else(|| self.0.get(OTHERS));
        writer.map(String::as_str)
    }

    fn text(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(expression: &str) -> Value {
        json!({"variables": [{"name": "other", "expression": "1"}, {"name": "writers", "expression": expression}]})
    }

    #[test]
    fn a_namespace_that_is_not_listed_belongs_to_the_account_of_the_others() {
        let writers = Writers::of(&spec(r#"{"*":"a","team":"b"}"#)).unwrap();
        assert_eq!(writers.of_namespace("team"), Some("b"));
        assert_eq!(writers.of_namespace("data"), Some("a"));
    }

    #[test]
    fn accounts_that_are_not_written_as_the_chart_writes_them_are_not_understood() {
        for text in [
            "",
            "{}",
            r#"{"team":"b"}"#,
            r#"{"team":"b","*":"a"}"#,
            r#"{"*": "a"}"#,
            r#"{"*":"a","*":"b"}"#,
            r#"{"*":"a"}.size() > 0 ? {"*":"b"} : {"*":"a"}"#,
            r#"{"*":1}"#,
            "request.userInfo",
        ] {
            assert_eq!(Writers::of(&spec(text)), None, "{text}");
        }
        assert_eq!(Writers::of(&json!({})), None);
    }

    #[test]
    fn accounts_are_put_where_they_were_found() {
        let found = spec(r#"{"*":"a","team":"b"}"#);
        let mut shipped = spec(r#"{"*":"shipped"}"#);
        Writers::of(&found).unwrap().put_into(&mut shipped);
        assert_eq!(shipped, found);
    }
}
