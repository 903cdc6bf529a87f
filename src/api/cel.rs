//! CEL rules by which the API server refuses invalid values.

use kube::core::Rule;

/// The pattern of a duration in the CRD. CEL's own function accepts more, for example days, which [`super::duration`]
/// does not.
const DURATION: &str = "^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?([0-9]{1,6}ms)?$";

/// The rule of a field that is a duration from `least` to `most`. Its message names the field and gives an example.
pub(super) fn between(field: &str, least: &str, most: &str, example: &str) -> [Rule; 1] {
    [bounds(field, least, least, most, example)]
}

/// The same for a field with a minimum that depends on the host. The field's own rule allows one second, because it
/// cannot read the host; [`floors`] can.
pub(super) fn up_to(floor: &Floor, most: &str, example: &str) -> [Rule; 1] {
    [bounds(floor.field, "1s", &floor.least(), most, example)]
}

/// The minimum of a field of `spec.health.stuck` and of the same field in `spec.overrides`, except for a host on this
/// machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// The field.
    pub field: &'static str,
    /// The minimum, in hours.
    pub hours: i64,
    /// Why not less.
    pub why: &'static str,
}

impl Floor {
    fn least(&self) -> String {
        format!("{}h", self.hours)
    }

    /// The rule that enforces it in `spec.health`.
    fn of_health(&self) -> Rule {
        let (Self { field, why, .. }, least) = (self, self.least());
        let value = format!("self.health.stuck.{field}");
        let (unreadable, enough) = (unreadable(&value), at_least(&value, &least));
        let message = format!(
            "spec.health.stuck.{field} must be at least {least}: {why} (shorter only for a host on 127.0.0.1)"
        );
        Rule::new(format!("{LOOPBACK} || {unreadable} || {enough}")).message(message.as_str())
    }
}

const LOOPBACK: &str = "self.posthog.host.startsWith('http://127.0.0.1:')";

/// The rules that enforce these minimums: one for each in `spec.health`, and one for all in `spec.overrides`.
pub(super) fn floors(floors: &[Floor]) -> Vec<Rule> {
    let join = |by: &str, part: &dyn Fn(&Floor) -> String| {
        floors.iter().map(part).collect::<Vec<_>>().join(by)
    };
    let value = |floor: &Floor| format!("o.stuck.{}", floor.field);
    let unreadable = join(" || ", &|floor| unreadable(&value(floor)));
    let enough = join(" && ", &|floor| at_least(&value(floor), &floor.least()));
    let words = join(" and ", &|floor| {
        format!("{} at least {}", floor.field, floor.least())
    });
    let words = words.replacen(" at least", " must be at least", 1);
    let message = format!(
        "spec.overrides[].stuck: {words}, as in spec.health (shorter only for a host on 127.0.0.1)"
    );
    let of_overrides = Rule::new(format!(
        "{LOOPBACK} || !has(self.overrides) || self.overrides.all(o, !has(o.stuck) || {unreadable} || ({enough}))"
    ));
    let of_health = floors.iter().map(Floor::of_health);
    of_health
        .chain([of_overrides.message(message.as_str())])
        .collect()
}

/// A duration from `least` to `most`; the message says `said` instead of `least`.
fn bounds(field: &str, least: &str, said: &str, most: &str, example: &str) -> Rule {
    let least = match least {
        "0s" => String::new(),
        least => format!("{} && ", at_least("self", least)),
    };
    let message =
        format!("{field} must be a duration from {said} to {most}, for example {example}");
    Rule::new(format!(
        "self.matches('{DURATION}') && self != '' && {least}duration(self) <= duration('{most}')"
    ))
    .message(message.as_str())
}

fn at_least(value: &str, least: &str) -> String {
    format!("duration({value}) >= duration('{least}')")
}

/// The field's own rule refuses a text that is not a duration. Here it must not cause an error.
fn unreadable(value: &str) -> String {
    format!("!{value}.matches('{DURATION}') || {value} == ''")
}
