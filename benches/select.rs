//! What the worst policy that the CRD takes costs, beside ten ordinary ones, on 10,000 tables whose names have 250 characters.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "criterion's macros make items without documentation; the data is shared; a bench that cannot continue has failed; a ratio is printed"
)]

mod data;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group, criterion_main};
use data::world::World;
use serde_json::{Value, json};
use warehouse_sync_operator::api::glob::MOST_CHARACTERS;

/// What the CRD takes: globs in a list, characters in a glob, globs in all overrides.
const GLOBS: usize = 64;
const LONGEST: usize = 256;
const OVERRIDDEN: usize = 256;

/// Names that globs of many `a` nearly match, until their last character.
fn name(place: usize) -> String {
    format!("{}{place:05}x", "a".repeat(244))
}

/// As many globs as one list may have that each take as long as they can, and match nothing.
fn hostile(globs: usize) -> Vec<String> {
    let many = MOST_CHARACTERS / LONGEST;
    let long = |place: usize| format!("?*{}b{place:02}*", "a".repeat(LONGEST - 6));
    let near = |place: usize| format!("{}*{place:03}y", "a".repeat(244));
    (0..many).map(long).chain((many..globs).map(near)).collect()
}

fn worst() -> Value {
    let mut include = hostile(GLOBS);
    include[0] = format!("?*{}*?x", "a".repeat(LONGEST - 5));
    "*a??????*x".clone_into(&mut include[1]);
    let overrides: Vec<Value> = hostile(OVERRIDDEN)
        .chunks(OVERRIDDEN / GLOBS)
        .map(|globs| json!({"source": {"prefix": "", "type": "Postgres"}, "schemas": globs}))
        .collect();
    json!({"selector": {"schemas": {"include": include, "exclude": hostile(GLOBS)}}, "overrides": overrides})
}

fn ordinary() -> Value {
    json!({"selector": {"schemas": {"include": ["a*", "public.*"], "exclude": ["*_tmp", "*_old"]}}})
}

fn took(world: &World) -> Duration {
    let once = || {
        let started = Instant::now();
        black_box(black_box(world).plan());
        started.elapsed()
    };
    (0..5).map(|_| once()).min().unwrap()
}

fn selecting(c: &mut Criterion) {
    let [ordinary, worst] = [ordinary(), worst()].map(|spec| World::with(&spec, 50, name));
    let ratio = took(&worst).as_secs_f64() / took(&ordinary).as_secs_f64();
    println!("the worst policy costs as much as {ratio:.1} ordinary ones");
    let mut group = c.benchmark_group("select");
    group.sample_size(10);
    for (title, world) in [("ordinary policy", &ordinary), ("worst policy", &worst)] {
        let title = format!("{title}, 10,000 tables");
        group.bench_function(title, |b| b.iter(|| black_box(world).plan()));
    }
    group.finish();
}

criterion_group!(benches, selecting);
criterion_main!(benches);
