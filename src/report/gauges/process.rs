//! The process itself, under the names that every dashboard knows. Read from `/proc`; elsewhere there are none.

use std::{fs, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// Clock ticks in a second, as Linux shows them to every process: `USER_HZ`, fixed at 100.
const TICKS: f64 = 100.0;

/// What `/proc` says now.
#[must_use]
pub fn registry() -> Registry {
    let mut registry = Registry::with_prefix("process");
    if let Some(bytes) = resident_bytes() {
        let gauge = Gauge::<i64>::default();
        gauge.set(bytes);
        let help = "Resident memory size";
        registry.register_with_unit("resident_memory", help, Unit::Bytes, gauge);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(files.count()).unwrap_or(i64::MAX));
        registry.register("open_fds", "Number of open file descriptors", gauge);
    }
    if let Some(Times { cpu, started }) = times() {
        let counter = Counter::<f64, AtomicU64>::default();
        counter.inc_by(cpu);
        let help = "Total user and system CPU time spent";
        registry.register_with_unit("cpu", help, Unit::Seconds, counter);
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(started);
        let help = "Start time of the process since the Unix epoch";
        registry.register_with_unit("start_time", help, Unit::Seconds, gauge);
    }
    registry
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: i64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

struct Times {
    cpu: f64,
    started: f64,
}

/// Fields 14, 15 and 22 of `proc_pid_stat(5)`, counted after the name of the command, which may have spaces.
fn times() -> Option<Times> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(Times {
        cpu: (ticks(14)? + ticks(15)?) / TICKS,
        started: boot.trim().parse::<f64>().ok()? + ticks(22)? / TICKS,
    })
}
