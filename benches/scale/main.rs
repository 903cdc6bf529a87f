//! Drives the real binary, with a real API server and a simulated PostHog, at several sizes, and prints goals and figures as a
//! table for docs/performance.md. `cargo bench --bench scale -- --help` says what can be chosen.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot continue has failed, and prints for a person; the data is shared with other benches; figures are small"
)]

mod beside;
#[path = "../data/mod.rs"]
mod data;
mod day;
mod operator;
mod phases;
mod pure;
mod stage;
mod statuses;
mod table;
mod tenants;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;

use crate::stage::{Size, Stage};

/// Measures the operator at several sizes.
#[derive(Debug, Parser)]
struct Args {
    /// Policies and tables of each run, for example 100:5000
    #[arg(long, value_delimiter = ',', default_value = "100:5000,10000:100000")]
    sizes: Vec<Size>,
    /// Interval of the policies, in seconds; 120 is the default of a policy
    #[arg(long, default_value_t = 120)]
    interval: u64,
    /// How often each latency is measured
    #[arg(long, default_value_t = 100)]
    samples: usize,
    /// Polls of the run that looks for growing memory; a day has 720
    #[arg(long, default_value_t = 720)]
    polls: usize,
    /// Another build of the operator to measure
    #[arg(long, default_value = env!("CARGO_BIN_EXE_warehouse-sync-operator"))]
    binary: PathBuf,
    /// One small run of a minute or two, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Measures only what one tenant can cost the others: large projects and hostile policies
    #[arg(long)]
    tenants: bool,
    /// Measures only the operator beside Flux's kustomize-controller, with this many suspended objects each
    #[arg(long, value_name = "OBJECTS", num_args = 0..=1, default_missing_value = "10000")]
    beside: Option<usize>,
    /// Tells what it takes to read the page in this file, and nothing else
    #[arg(long, hide = true)]
    decode: Option<PathBuf>,
    /// What cargo says to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let mut args = Args::parse();
    if let Some(page) = &args.decode {
        println!("{}", pure::decode(page));
        return;
    }
    if args.tenants {
        let measured = tenants::measure(&args.binary, Duration::from_secs(args.interval));
        println!("{}", tenants::render(&measured));
        return;
    }
    if let Some(objects) = args.beside {
        println!("{}", beside::measure(&args.binary, objects));
        return;
    }
    if args.quick {
        args.sizes = vec![Size {
            policies: 40,
            tables: 2_000,
        }];
        (args.interval, args.samples, args.polls) = (10, 10, 30);
    }
    let began = Instant::now();
    let pure = pure::measure();
    let mut runs = Vec::new();
    let mut growth = None;
    for (place, size) in args.sizes.iter().enumerate() {
        say(&format!(
            "== {} policies, {} tables",
            size.policies, size.tables
        ));
        let stage = Stage::new(*size, Duration::from_secs(args.interval), &args.binary);
        runs.push(phases::measure(&stage, args.samples));
        if place == 0 && args.polls > 0 {
            growth = Some(day::measure(&stage, args.polls));
        }
    }
    println!(
        "{}",
        table::render(&args, &pure, &runs, growth.as_ref(), began.elapsed())
    );
}

/// Prints the progress.
fn say(text: &str) {
    eprintln!("[{}] {text}", jiff::Timestamp::now().strftime("%H:%M:%S"));
}
