//! What is wanted: for each kind of order, what asks for it. Whether it may be sent is for the guards.

pub mod approved;
pub mod credentials;
pub mod enable;
pub mod incident;
pub mod reload;
pub mod renewed;
pub mod stuck;
pub mod webhook;

use crate::{
    api::status::{Call, Incident},
    diagnose::{Judged, Known},
};

/// The incident of a table, at its first step, and the call that it begins with; none if its verdict asks for no call.
#[must_use]
pub fn first(known: &Known<'_>, judged: &Judged) -> Option<(Incident, Call)> {
    let begins = stuck::begins(known, judged)
        .or_else(|| reload::begins(known, judged))
        .or_else(|| enable::begins(known, judged))?;
    let call = begins.call;
    Some((begins.opened(known, judged), call))
}
