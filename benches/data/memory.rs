//! How much memory a process takes, as the kernel tells it.

use std::fs;

/// Resident memory of a process, in bytes: now, and the most since it began or since [`forget_peak`].
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    pub now: u64,
    pub peak: u64,
}

impl Resident {
    /// Of the process with this id, or `self`.
    pub fn of(process: &str) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or_default() * 1024
        };
        Self {
            now: field("VmRSS:"),
            peak: field("VmHWM:"),
        }
    }
}

/// Resets the peak of this process.
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
