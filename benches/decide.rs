//! How long it takes from what is known to the plan, for a policy on 20,000 tables.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "criterion's macros make items without documentation; the data is shared; a bench that cannot continue has failed"
)]

mod data;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::world::World;

fn deciding(c: &mut Criterion) {
    let mut world = World::new();
    let tables: usize = world
        .snapshot
        .sources
        .iter()
        .map(|source| source.schemas.len())
        .sum();
    let mut group = c.benchmark_group("decide");
    group
        .sample_size(30)
        .throughput(Throughput::Elements(tables as u64));
    group.bench_function("first pass over 20,000 tables", |b| {
        b.iter(|| black_box(&world).plan());
    });
    // The status that a reconcile wrote is the input of the next one.
    let (diagnosis, plan) = world.plan();
    world.status = world.compose(&diagnosis, &plan);
    group.bench_function("next pass over 20,000 tables", |b| {
        b.iter(|| black_box(&world).plan());
    });
    let (diagnosis, plan) = world.plan();
    group.bench_function("status of it", |b| {
        b.iter(|| black_box(&world).compose(&diagnosis, &plan));
    });
    group.finish();
}

criterion_group!(benches, deciding);
criterion_main!(benches);
