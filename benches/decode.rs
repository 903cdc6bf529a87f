//! How long it takes to read a page of 20,000 tables, and how much memory.
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "criterion's macros make items without documentation; the data is shared; a bench that cannot go on has failed, and speaks to a person"
)]

mod data;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use data::{
    memory::{Resident, forget_peak},
    page,
};
use warehouse_sync_operator::posthog::wire::{Page, Source};

fn read(body: &[u8]) -> Page<Source> {
    serde_json::from_slice(black_box(body)).unwrap()
}

fn decoding(c: &mut Criterion) {
    let body = page::large();
    // The first reading is the one that has to find memory for the rows.
    forget_peak();
    let before = Resident::of("self");
    let first = read(&body);
    let after = Resident::of("self");
    let tables: usize = first
        .results
        .iter()
        .map(|source| source.schemas.len())
        .sum();
    println!(
        "{tables} tables, {} bytes: reading them takes {} KiB at most, {} KiB stay",
        body.len(),
        after.peak.saturating_sub(before.now) / 1024,
        after.now.saturating_sub(before.now) / 1024,
    );
    drop(first);
    let mut group = c.benchmark_group("decode");
    group
        .sample_size(30)
        .throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("page of 20,000 tables", |b| {
        b.iter_with_large_drop(|| read(&body));
    });
    group.finish();
}

criterion_group!(benches, decoding);
criterion_main!(benches);
