//! What an expression of Prometheus asks of labels.

/// `metric{label="value"}`, or with another operator.
#[derive(Debug, PartialEq, Eq)]
pub struct Matcher<'a> {
    pub metric: &'a str,
    pub label: &'a str,
    pub value: &'a str,
}

/// Every matcher of an expression whose values hold no braces, commas and quotes.
pub fn matchers(expression: &str) -> Vec<Matcher<'_>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut parts = expression.split('{');
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let metric = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
        let (inside, after) = part.split_once('}').unwrap_or((part, ""));
        for matcher in inside.split(',') {
            let label = matcher.trim().split(|c| !is_word(c)).next();
            let value = matcher.split('"').nth(1);
            if let (Some(label), Some(value)) = (label, value) {
                found.push(Matcher {
                    metric,
                    label,
                    value,
                });
            }
        }
        before = after;
    }
    found
}

#[test]
fn matchers_are_found() {
    let found = matchers(r#"sum by (a) (b_total{c="d", e=~"f|g"}) / sum(h{i!="j"}[5m]) > 0"#);
    let matcher = |metric, label, value| Matcher {
        metric,
        label,
        value,
    };
    let expected = [
        matcher("b_total", "c", "d"),
        matcher("b_total", "e", "f|g"),
        matcher("h", "i", "j"),
    ];
    assert_eq!(found, expected);
}
