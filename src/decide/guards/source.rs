//! The source of the table is known to be broken as a whole.

use super::{Hold, OrderContext};

/// An action on one of its tables cannot help. An action on the source as a whole may.
#[must_use]
pub fn check(context: &OrderContext<'_>) -> Option<Hold> {
    if context.subject.is_source() {
        return None;
    }
    let why = context.diagnosis.blocked.get(&context.subject.schema_id)?;
    Some(Hold::for_now(why.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::status::Call,
        decide::{
            guards::fixture::{Situation, of_incident, of_proposal, of_source},
            plan::Kind,
        },
    };

    #[test]
    fn nothing_is_done_to_a_table_whose_source_is_broken_but_to_the_source() {
        let reload = || of_incident(Kind::Reload, Call::Reload);
        for (order, broken, held) in [
            (reload(), "a1", true),
            (reload(), "b1", false),
            (of_proposal("a1"), "a1", true),
            (of_proposal(""), "a1", false),
            (of_source(Kind::Webhook), "a1", false),
        ] {
            let what = format!("{:?} while {broken} is blocked", order.subject);
            let mut situation = Situation::new(order);
            let why = "its source rejects every login";
            situation.diagnosis.blocked = [(broken.to_owned(), why.to_owned())].into();
            let expected = held.then(|| Hold::for_now(why));
            assert_eq!(situation.ask(check), expected, "{what}");
        }
    }
}
