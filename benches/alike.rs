//! What a reconcile costs if all tables of a large source are bad in the same way: eight times as many tables may take about eight times as long.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the data is shared; a bench that cannot continue has failed; figures are printed"
)]

mod data;

use std::time::{Duration, Instant};

use data::world::World;
use warehouse_sync_operator::posthog::{lax::Lax, wire::Schema};

const SIZES: [usize; 2] = [2_500, 20_000];

type Change = fn(&mut Schema);

const KINDS: [(&str, Change); 11] = [
    ("healthy", |_| {}),
    ("wrong password", |row| {
        failed(
            row,
            "FATAL: password authentication failed for user \"sync\"",
        );
    }),
    ("missing table", |row| {
        failed(row, "relation \"public.orders\" does not exist");
    }),
    ("missing right", |row| {
        failed(
            row,
            "403 Client Error: Forbidden for url: https://api.example.com/v1",
        );
    }),
    ("transient error", |row| {
        failed(row, "SSL connection has been closed unexpectedly");
    }),
    ("unknown error", |row| failed(row, "no such luck")),
    ("failed and switched off", |row| {
        failed(
            row,
            "FATAL: password authentication failed for user \"sync\"",
        );
        row.should_sync = Lax::Is(false);
    }),
    ("switched off", |row| row.should_sync = Lax::Is(false)),
    ("billing limit", |row| {
        row.status = Lax::Is("BillingLimitReached".into());
    }),
    ("running", |row| row.status = Lax::Is("Running".into())),
    ("stale", |row| {
        row.last_synced_at = Lax::Is("2026-08-01T00:00:00Z".parse().unwrap());
    }),
];

fn failed(row: &mut Schema, text: &str) {
    row.status = Lax::Is("Failed".into());
    row.latest_error = Lax::Is(text.to_owned());
}

/// The second reconcile: the status that the first wrote is its input.
fn took(tables: usize, change: Change) -> Duration {
    let mut world = World::of_one_source(tables, change);
    let bad = world.reconcile();
    let is_alike = [0, tables].contains(&bad);
    assert!(is_alike, "{bad} of {tables} tables are not healthy");
    let once = |world: &mut World| {
        let started = Instant::now();
        world.reconcile();
        started.elapsed()
    };
    (0..3).map(|_| once(&mut world)).min().unwrap()
}

fn main() {
    println!(
        "| all tables of a source | {} tables | {} tables | ratio |\n|---|---|---|---|",
        SIZES[0], SIZES[1]
    );
    // `cargo bench --bench alike -- billing` measures those with this word only.
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let is_wanted = |kind: &str| word.as_ref().is_none_or(|word| kind.contains(word));
    for (kind, change) in KINDS.into_iter().filter(|(kind, _)| is_wanted(kind)) {
        let [few, many] = SIZES.map(|tables| took(tables, change).as_secs_f64() * 1e3);
        println!(
            "| {kind} | {few:.1} ms | {many:.1} ms | {:.0} |",
            many / few
        );
    }
}
