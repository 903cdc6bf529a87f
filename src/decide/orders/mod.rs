//! What is needed: for each kind of order, when it is due. The guards decide whether it may be sent.

pub mod approved;
pub mod credentials;
pub mod enable;
pub mod incident;
pub mod reload;
pub mod rotated;
pub mod stuck;
pub mod webhook;

use crate::{
    api::status::{Call, Incident},
    diagnose::{Judged, Known},
};

/// The incident of a table, at its first step, and its first call; none if its verdict requires no call.
#[must_use]
pub fn first(known: &Known<'_>, judged: &Judged) -> Option<(Incident, Call)> {
    let begins = stuck::begins(known, judged)
        .or_else(|| reload::begins(known, judged))
        .or_else(|| enable::begins(known, judged))?;
    let call = begins.call;
    Some((begins.opened(known, judged), call))
}
