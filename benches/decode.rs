//! How long it takes to read a page of 20,000 tables. The bench `scale` measures how much memory it takes.
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
use data::page;
use warehouse_sync_operator::posthog::wire::{Page, Source};

fn read(body: &[u8]) -> Page<Source> {
    serde_json::from_slice(black_box(body)).unwrap()
}

fn decoding(c: &mut Criterion) {
    let body = page::large();
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
