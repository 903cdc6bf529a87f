//! stub
use crate::api::status::RootCause;
/// Advice.
#[must_use]
pub const fn advice(_: RootCause) -> &'static str {
    ""
}
