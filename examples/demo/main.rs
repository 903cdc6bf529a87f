//! The main job, end to end, on real parts: etcd, kube-apiserver, kubectl, the operator's binary, and a simulated PostHog
//! over HTTP.
//!
//! `cargo run --example demo` shows it and ends; `cargo run --example demo -- --keep` leaves everything running until
//! Ctrl-C, so that you can use kubectl; with `--ui` it also serves the page of `kubectl wsp ui`, and prints its link.
//! `docs/tutorial.md` continues from there.
#![allow(clippy::print_stdout, reason = "a demo is run by a person")]

mod operator;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use control_plane::ControlPlane;
use operator::Operator;
use posthog_simulator::{Clock, Scenario, Server, Simulator};

type Result<A> = std::result::Result<A, Box<dyn Error>>;

/// Divides the fixed waits of minutes and hours, so that the demo takes seconds.
const TIME_FACTOR: &str = "60";
/// The demo takes about half a minute; longer means that something is wrong.
const DEADLINE: Duration = Duration::from_mins(3);

fn main() -> Result<()> {
    let given = |wanted| std::env::args().any(|argument| argument == wanted);
    let keep = given("--keep");
    let binary = build_operator()?;

    say("Starting etcd and kube-apiserver (the first time, they are built: minutes) …");
    let plane = ControlPlane::start()?;
    let scenario = Scenario::from_yaml(include_str!("scenario.yaml"))?;
    let posthog = Server::start(Simulator::from_scenario(&scenario, Clock::real())?)?;
    say(&format!(
        "The simulated PostHog listens on {}. Its table public.orders has hung in Running for 9 h.",
        posthog.url()
    ));

    say("$ warehouse-sync-operator crd | kubectl apply -f -");
    let crd = Command::new(&binary).arg("crd").output()?.stdout;
    print!("{}", plane.apply(&String::from_utf8(crd)?)?);
    plane.wait_for_crd("warehousesyncpolicies.warehousesync.dev")?;

    say(&format!(
        "$ warehouse-sync-operator run --allow-http-loopback --time-factor {TIME_FACTOR}"
    ));
    let operator = start_operator(&binary, &plane, keep)?;
    say("$ kubectl apply -f policy.yaml");
    print!(
        "{}",
        plane.apply(&include_str!("policy.yaml").replace("HOST", &posthog.url()))?
    );

    watch(&plane)?;
    say("$ kubectl wait --for=condition=Healthy wsp/production");
    kubectl(
        &plane,
        &[
            "wait",
            "--for=condition=Healthy",
            "--timeout=60s",
            "wsp/production",
        ],
    )?;
    say("$ kubectl wsp history production");
    plugin(&plane, &binary, &["history", "production"])?;
    say("What reached PostHog, of all that writes:");
    for request in posthog
        .simulator()
        .requests()
        .iter()
        .filter(|request| request.method != "GET")
    {
        println!(
            "{} {} → {}",
            request.method,
            request.path,
            request.status.unwrap_or(0)
        );
    }
    say("$ kubectl wsp status production");
    plugin(&plane, &binary, &["status", "production"])?;
    if keep {
        let folder = |path: &Path| path.parent().unwrap_or(path).display().to_string();
        say(&format!(
            "Everything keeps running; Ctrl-C ends it. PostHog is at {}. In another terminal:\n  export KUBECONFIG={}\n  export PATH={}:{}:$PATH\n  kubectl wsp status",
            posthog.url(),
            plane.admin_kubeconfig().display(),
            folder(&binary),
            folder(&plane.kubectl_path()),
        ));
        // Ends with the demo, as the operator does.
        let page = binary.with_file_name("kubectl-wsp");
        let page = given("--ui").then(|| Operator::start(&page, &["ui"], plane.admin_kubeconfig()));
        let _page = page.transpose()?;
        operator.wait()?;
    }
    Ok(())
}

fn say(text: &str) {
    println!("\n\x1b[1m{text}\x1b[0m");
}

/// Builds the operator and the kubectl plugin beside this example, and returns the operator's path.
fn build_operator() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--bins"])
        .status()?;
    if !built.success() {
        return Err("the operator does not build".into());
    }
    let examples = std::env::current_exe()?;
    let target = examples
        .parent()
        .and_then(std::path::Path::parent)
        .ok_or("the demo is not in a target folder")?;
    Ok(target.join("warehouse-sync-operator"))
}

fn kubectl(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    print!("{}", plane.kubectl(args)?);
    Ok(())
}

/// Runs the plugin as kubectl does, from the folder of the operator's binary.
fn plugin(plane: &ControlPlane, binary: &Path, args: &[&str]) -> Result<()> {
    let folder = binary.parent().unwrap_or(binary);
    let mut path = vec![folder.to_path_buf()];
    path.extend(std::env::split_paths(
        &std::env::var_os("PATH").unwrap_or_default(),
    ));
    let ended = plane
        .kubectl_command()
        .env("PATH", std::env::join_paths(path)?)
        .arg("wsp")
        .args(args)
        .status()?;
    if ended.success() {
        Ok(())
    } else {
        Err(format!("kubectl wsp {args:?} failed").into())
    }
}

fn start_operator(binary: &Path, plane: &ControlPlane, keep: bool) -> Result<Operator> {
    let mut args = vec![
        "run",
        "--allow-http-loopback",
        "--time-factor",
        TIME_FACTOR,
        "--bind",
        "127.0.0.1:0",
    ];
    if keep {
        // The tutorial approves a proposal. The admission policies name an account that does not exist here.
        args.push("--allow-unguarded-approvals");
    }
    Ok(Operator::start(binary, &args, plane.admin_kubeconfig())?)
}

/// Prints the policy whenever its row changes, and new events, until the incident is over.
fn watch(plane: &ControlPlane) -> Result<()> {
    say("$ kubectl get wsp -o wide --watch     and     kubectl get events --watch");
    println!("  status  READY  HEALTHY  STEP  LAST ACTION");
    let deadline = Instant::now() + DEADLINE;
    let (mut row_before, mut events_before) = (String::new(), 0);
    let columns = "custom-columns=READY:.status.conditions[?(@.type==\"Ready\")].status,HEALTHY:.status.summary.healthyOf,STEP:.status.incidents[*].step,LAST ACTION:.status.history[0].what";
    loop {
        let row = plane.kubectl(["get", "wsp", "production", "-o", columns, "--no-headers"])?;
        let events = plane.kubectl([
            "get",
            "events.events.k8s.io",
            "--sort-by=.metadata.creationTimestamp",
            "-o",
            "jsonpath={range .items[*]}{.type} {.reason}: {.note}{\"\\n\"}{end}",
        ])?;
        for event in events.lines().skip(events_before) {
            println!("  event   {event}");
        }
        events_before = events.lines().count();
        if row != row_before {
            println!("  status  {}", row.trim_end());
        }
        if events.contains("Recovered") && row.contains("5/5") && row.contains("<none>") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the sync did not recover in time; see the operator's log above".into());
        }
        row_before = row;
        std::thread::sleep(Duration::from_millis(200));
    }
}
