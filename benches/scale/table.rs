//! The table of docs/performance.md.

use std::{fmt::Write, fs, time::Duration};

use crate::{
    Args,
    day::Growth,
    phases::{Figures, Latency, Lists},
    pure::Pure,
    stage::{Size, TABLES},
};

/// Requests that PostHog allows a key in an hour.
const QUOTA: f64 = 4_800.0;
const MIB: f64 = 1024.0 * 1024.0;

pub fn render(
    args: &Args,
    pure: &Pure,
    runs: &[Figures],
    growth: Option<&Growth>,
    took: Duration,
) -> String {
    let mut text = header(args, took);
    let mut rows: Vec<[String; 3]> = vec![
        row(
            "decode a page of 20,000 tables",
            "≤ 50 ms, ≤ 16 MiB extra",
            &format!(
                "{} ms, {:.1} MiB including what stays ({:.1} MB of JSON)",
                pure.decode.as_millis(),
                pure.decode_memory as f64 / MIB,
                pure.page_bytes as f64 / 1e6,
            ),
        ),
        row(
            "diagnose + decide, 20,000 tables",
            "≤ 10 ms",
            &format!("{:.1} ms", pure.decide.as_secs_f64() * 1e3),
        ),
    ];
    for run in runs {
        rows.extend(of_run(run, args));
    }
    rows.push(row(
        "size of the binary",
        "≤ 25 MB with the image",
        &format!(
            "{:.1} MB",
            fs::metadata(&args.binary).map_or(0.0, |file| file.len() as f64 / 1e6)
        ),
    ));
    if let Some(growth) = growth {
        rows.push(of_growth(growth, args));
    }
    for [figure, goal, measured] in rows {
        let _ = writeln!(text, "| {figure} | {goal} | {measured} |");
    }
    text
}

fn header(args: &Args, took: Duration) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processors = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let meminfo = read("/proc/meminfo");
    let memory = meminfo
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok());
    let sizes: Vec<String> = args.sizes.iter().map(spread).collect();
    format!(
        "Measured on {} with {processors} processors ({}) and {:.0} GiB, interval {} s, {} samples of each latency; it took {} minutes.\n{}\n\n| figure | goal | measured |\n|---|---|---|\n",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        model.map_or("of an unknown kind", |(_, model)| model),
        memory.unwrap_or_default() / 1024.0 / 1024.0,
        args.interval,
        args.samples,
        took.as_secs().div_ceil(60),
        sizes.join("\n"),
    )
}

fn spread(size: &Size) -> String {
    format!(
        "{}: {} projects of {TABLES} tables and {} policies each, in a namespace and with a key of their own.",
        name(*size),
        size.projects(),
        size.each()
    )
}

fn name(size: Size) -> String {
    format!(
        "{} policies / {} tables",
        grouped(size.policies),
        grouped(size.tables)
    )
}

fn of_run(run: &Figures, args: &Args) -> Vec<[String; 3]> {
    let at = name(run.size);
    let row_of = |figure: &str, goal: &str, measured: String| {
        row(&format!("{figure} · {at}"), goal, &measured)
    };
    let interval = args.interval as f64;
    let goal_memory = match run.size.policies {
        100 => "≤ 24 MiB",
        10_000 => "≤ 80 MiB",
        _ => "–",
    };
    vec![
        row_of(
            "list requests of a poll",
            "⌈sources/100⌉",
            lists(&run.lists),
        ),
        row_of(
            "requests of a key in an hour",
            "≤ 1.5 % of its limits",
            format!(
                "{:.0} ({:.2} %); {} refused",
                run.lists.requests_per_hour,
                run.lists.requests_per_hour / QUOTA * 100.0,
                run.refused
            ),
        ),
        row_of(
            "status writes in steady polls",
            "0",
            format!("{}", run.steady_writes),
        ),
        row_of(
            "status writes when one table fails",
            "1",
            format!("{}", run.writes_of_a_change),
        ),
        row_of(
            "threshold passed → finding, p99",
            "≤ 1.25 × interval",
            ratio(&run.finding, interval),
        ),
        row_of(
            "finding → first safe action, p99",
            "≤ 2 s",
            seconds(&run.action),
        ),
        row_of(
            "annotate → request sent, p99",
            "≤ 2 s",
            seconds(&run.request),
        ),
        row_of(
            "resident memory",
            goal_memory,
            format!(
                "{:.1} MiB (at most {:.1} at the start, {:.1} in all)",
                run.memory.now as f64 / MIB,
                run.memory_at_start.peak as f64 / MIB,
                run.memory.peak as f64 / MIB
            ),
        ),
        row_of(
            "start → ready",
            "≤ 1 s",
            format!("{:.2} s", run.ready_after.as_secs_f64()),
        ),
        row_of(
            "start → every policy Ready",
            "–",
            format!(
                "{:.1} s, at most {} requests to PostHog in a second",
                run.all_ready_after.as_secs_f64(),
                run.busiest_second_at_start
            ),
        ),
        row_of(
            "processors in steady polls",
            "–",
            format!("{:.3}", run.processors),
        ),
    ]
}

fn lists(lists: &Lists) -> String {
    let wide = lists
        .per_wide_poll
        .map_or_else(String::new, |wide| format!(", {wide:.2} (250 sources)"));
    format!("{:.2} (10 sources){wide}", lists.per_poll)
}

fn of_growth(growth: &Growth, args: &Args) -> [String; 3] {
    let mib = |bytes: Option<&u64>| bytes.map_or(0.0, |bytes| *bytes as f64 / MIB);
    let (first, last) = (mib(growth.memory.get(1)), mib(growth.memory.last()));
    let size = args
        .sizes
        .first()
        .map_or_else(String::new, |size| name(*size));
    row(
        &format!(
            "growth of memory over {} polls (a day has 720) · {size}",
            growth.polls
        ),
        "0",
        &format!(
            "{:+.1} MiB from the second tenth ({first:.1}) to the end ({last:.1})",
            last - first
        ),
    )
}

fn ratio(latency: &Latency, interval: f64) -> String {
    described(latency, |seconds| {
        format!("{:.2} × interval", seconds / interval)
    })
}

fn seconds(latency: &Latency) -> String {
    described(latency, |seconds| format!("{seconds:.3} s"))
}

fn described(latency: &Latency, shown: impl Fn(f64) -> String) -> String {
    let at = |percent| {
        latency
            .percentile(percent)
            .map_or_else(|| "–".to_owned(), &shown)
    };
    let (seen, wanted) = (latency.seconds.len(), latency.wanted);
    let lost = if seen < wanted {
        format!(", {} never seen", wanted - seen)
    } else {
        String::new()
    };
    format!("{} (median {}, {seen} samples{lost})", at(99), at(50))
}

fn row(figure: &str, goal: &str, measured: &str) -> [String; 3] {
    [figure.to_owned(), goal.to_owned(), measured.to_owned()]
}

/// With a comma after each third digit, from the right.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
