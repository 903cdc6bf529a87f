//! Runs the simulator by hand: `posthog-simulator --scenario tests/simulator/scenarios/demo.yaml --port 8010`.
#![allow(clippy::print_stdout, reason = "what it prints is its result")]
#![allow(clippy::doc_markdown, reason = "PostHog is a name and no identifier")]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use jiff::SignedDuration;
use posthog_simulator::{Clock, Options, Scenario, Server, Simulator};

/// A simulated PostHog: the data-warehouse part of its REST API, with runs that hang, fail and complete
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The scenario to start from (YAML); tests/simulator/README.md describes the format
    #[arg(long, value_name = "FILE")]
    scenario: PathBuf,

    /// The port on 127.0.0.1; 0 takes any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,

    /// How many simulated seconds pass in a real one
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    speed: u32,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("posthog-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let text = std::fs::read_to_string(&arguments.scenario)
        .map_err(|error| format!("{} cannot be read: {error}", arguments.scenario.display()))?;
    let scenario = Scenario::from_yaml(&text).map_err(|error| error.to_string())?;
    let clock = Clock::Real {
        offset: SignedDuration::ZERO,
        speed: arguments.speed,
    };
    let simulator =
        Simulator::from_scenario(&scenario, clock).map_err(|error| error.to_string())?;
    let options = Options {
        port: arguments.port,
        log_requests: true,
    };
    let mut server = Server::start_with(simulator, options).map_err(|error| error.to_string())?;
    println!(
        "PostHog simulator on {} (project {}); Ctrl-C stops it",
        server.url(),
        scenario.project
    );
    for line in server.simulator().summary() {
        println!("{line}");
    }
    wait_for_ctrl_c()?;
    server.stop();
    Ok(())
}

fn wait_for_ctrl_c() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(tokio::signal::ctrl_c())
        .map_err(|error| error.to_string())
}
