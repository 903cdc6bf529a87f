//! The parts without network and clock, timed in this process; criterion times them with more care (`benches/decode.rs`,
//! `benches/decide.rs`).

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use warehouse_sync_operator::posthog::wire::{Page, Source};

use crate::data::{
    memory::{Resident, forget_peak},
    page,
    world::World,
};

/// How often each is repeated.
const TIMES: usize = 21;

pub struct Pure {
    pub page_bytes: usize,
    pub decode: Duration,
    /// What reading a page takes beyond the page itself.
    pub decode_memory: u64,
    pub decide: Duration,
}

pub fn measure() -> Pure {
    let body = page::large();
    let read = || serde_json::from_slice::<Page<Source>>(black_box(&body)).unwrap();
    forget_peak();
    let before = Resident::of("self").now;
    let first = read();
    let decode_memory = Resident::of("self").peak.saturating_sub(before);
    drop(first);
    let mut world = World::new();
    let (diagnosis, plan) = world.plan();
    world.status = world.compose(&diagnosis, &plan);
    Pure {
        page_bytes: body.len(),
        decode: median(read),
        decode_memory,
        decide: median(|| black_box(&world).plan()),
    }
}

/// The median, which a busy neighbour disturbs least.
fn median<A>(mut run: impl FnMut() -> A) -> Duration {
    let mut times: Vec<Duration> = (0..TIMES)
        .map(|_| {
            let began = Instant::now();
            let made = black_box(run());
            let took = began.elapsed();
            drop(made);
            took
        })
        .collect();
    times.sort_unstable();
    times[TIMES / 2]
}
