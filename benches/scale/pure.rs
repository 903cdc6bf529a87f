//! The parts without network and clock, timed in this process; criterion times them with more care (`benches/decode.rs`,
//! `benches/decide.rs`).

use std::{
    fs,
    hint::black_box,
    path::Path,
    process::Command,
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
    let decode_memory = memory_of_decode(&body);
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

/// What reading a page takes, in a process of its own: this one has memory to spare that was in use before.
fn memory_of_decode(body: &[u8]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.json");
    fs::write(&page, body).unwrap();
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this)
        .arg("--decode")
        .arg(&page)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap()
}

/// What that process does: reads the page in this file, and gives the bytes that it took beside the page.
pub fn decode(page: &Path) -> u64 {
    let body = fs::read(page).unwrap();
    forget_peak();
    let before = Resident::of("self").now;
    let read: Page<Source> = serde_json::from_slice(&body).unwrap();
    let taken = Resident::of("self").peak.saturating_sub(before);
    drop(read);
    taken
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
