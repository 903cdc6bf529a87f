//! Runs a check on the seeds of a target and on mutations of them, and makes an input that fails smaller.

use std::{
    fs, panic,
    path::Path,
    time::{Duration, Instant},
};

use crate::mutation::{Dice, mutated};

/// Mutations of a run without `FUZZ_SECONDS`.
const FEW: usize = 5_000;

/// Tries of making an input smaller.
const TRIES: usize = 20_000;

/// Runs `check`, which panics if something is wrong, on the inputs of the target.
pub fn fuzz(target: &str, check: fn(&[u8])) {
    let seeds = seeds(target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    for seed in &seeds {
        check(seed);
    }
    let time = std::env::var("FUZZ_SECONDS").ok();
    let time = time.map(|seconds| Duration::from_secs(seconds.parse().unwrap()));
    // Without a time the inputs are the same in each run.
    let number = time.map_or(0x5eed, |_| u64::from(std::process::id()) << 20);
    let (mut dice, started, mut count) = (Dice::new(number), Instant::now(), 0_usize);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut failed = None;
    while failed.is_none() && time.map_or(count < FEW, |time| started.elapsed() < time) {
        let input = mutated(&seeds, &mut dice);
        failed = fails(check, &input).then_some(input);
        count += 1;
    }
    let failed = failed.map(|input| smaller(check, input, &mut dice));
    panic::set_hook(hook);
    println!("{target}: {count} inputs in {:?}", started.elapsed());
    if let Some(input) = failed {
        println!("{target} fails on {:?}", String::from_utf8_lossy(&input));
        println!("as bytes: {input:?}");
        check(&input);
    }
}

fn fails(check: fn(&[u8]), input: &[u8]) -> bool {
    panic::catch_unwind(|| check(input)).is_err()
}

/// Takes parts out for as long as it still fails.
fn smaller(check: fn(&[u8]), mut input: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    for _ in 0..TRIES {
        let place = dice.below(input.len());
        let end = (place + 1 + dice.length()).min(input.len());
        let mut less = input.clone();
        less.drain(place..end);
        if fails(check, &less) {
            input = less;
        }
    }
    input
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/seeds")
        .join(target);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| fs::read(path).unwrap())
        .collect()
}
