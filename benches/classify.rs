//! How long it takes to read an error text.
#![allow(
    missing_docs,
    reason = "criterion's macros make items without documentation"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warehouse_sync_operator::diagnose::classify::{RULES, classify};

const USUAL: &str = "connection to server at \"db.example.com\" (203.0.113.7), port 5432 failed: FATAL: password authentication failed for user \"posthog\"\nconnection to server at \"db.example.com\", port 5432 failed: FATAL: no pg_hba.conf entry";
const UNKNOWN: &str = "KeyError: 'billing_events' while reading page 1403000 of the listing for https://api.example.com/v1/rate_limits?cursor=4031";

fn classifying(c: &mut Criterion) {
    let long = format!("{}{USUAL}", "File \"/app/worker.py\", line 403, in read_rows: SELECT id, updated_at FROM \"public\".\"orders\"; ".repeat(120));
    let hostile = "'\"`[(401 relation \\u".repeat(50_000);
    let batch: Vec<&str> = RULES.iter().map(|rule| rule.example.as_str()).collect();
    classify(USUAL, None);

    c.bench_function("usual text", |b| {
        b.iter(|| classify(black_box(USUAL), Some("Postgres")));
    });
    c.bench_function("text that decides nothing", |b| {
        b.iter(|| classify(black_box(UNKNOWN), None));
    });
    c.bench_function("8 KiB of traceback", |b| {
        b.iter(|| classify(black_box(&long[..8192]), None));
    });
    c.bench_function("1 MB of hostile text", |b| {
        b.iter(|| classify(black_box(&hostile), None));
    });
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(batch.len() as u64));
    group.bench_function("one text of each rule", |b| {
        b.iter(|| {
            let decided = |text: &&&str| classify(black_box(text), None).rule != "none";
            batch.iter().filter(decided).count()
        });
    });
    group.finish();
}

criterion_group!(benches, classifying);
criterion_main!(benches);
