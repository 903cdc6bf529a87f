//! The rules, in the order in which they are asked. The first that holds decides.
//!
//! The order is by meaning. What could be mistaken for something else comes before it: `PostHog`'s own texts mention
//! everything; an SSH tunnel has credentials too; the name of a lost column must not be read as a lost login.

mod access;
mod connection;
mod data;
mod foreign;
mod generic;
mod limits;
mod notes;
mod objects;
mod posthog;
mod sentences;
mod setup;
mod source;
mod vocabulary;

use super::rule::Rule;

/// The tables, first to last.
pub const TABLES: &[&[Rule]] = &[
    notes::RULES,
    posthog::RULES,
    setup::SSH,
    setup::KEYS,
    setup::INTEGRATION,
    setup::CDC,
    foreign::RULES,
    data::RULES,
    objects::RULES,
    limits::TIMEOUTS,
    limits::QUOTA,
    limits::RATE,
    source::RULES,
    access::ALLOWLIST,
    access::CREDENTIALS,
    access::PERMISSIONS,
    access::LOOSE,
    connection::TLS,
    connection::DROPPED,
    connection::UNREACHABLE,
    sentences::RULES,
    generic::RULES,
];

/// All rules, first to last.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    TABLES.iter().copied().flatten()
}
