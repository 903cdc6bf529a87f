//! A process that is measured, and the operator: its start, its metrics, its memory and its time on the processors.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::data::memory::Resident;

/// Ticks of the kernel's clock for processes in a second, on every Linux that there is.
const TICKS: f64 = 100.0;

/// A process. It is asked to end when this is dropped.
pub struct Process(Child);

impl Process {
    /// Starts it, with its standard error in a file.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let command = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log).unwrap());
        Self(command.spawn().unwrap())
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    pub fn memory(&self) -> Resident {
        Resident::of(&self.0.id().to_string())
    }

    /// Seconds on the processors so far.
    pub fn processor_seconds(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<f64> = after_name
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        // User and system time are the 14th and 15th fields of all, the 12th and 13th after the name.
        (fields[11] + fields[12]) / TICKS
    }
}

impl Drop for Process {
    /// SIGTERM: then the operator gives its Lease back, and the next one need not wait for it to run out.
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let reported = Command::new("kill").args(["-TERM", &pid]).status();
        if !reported.is_ok_and(|reported| reported.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}

/// The sum of all values of a metric whose labels contain this text, on a page of metrics.
pub fn sum(page: &str, name: &str, labels: &str) -> f64 {
    let own = page.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(labels))
    });
    own.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

pub struct Operator {
    pub process: Process,
    log: PathBuf,
    url: String,
    http: reqwest::Client,
    /// From the start of the process to the first good answer of `/readyz`.
    pub ready_after: Duration,
}

impl Operator {
    /// Starts it and waits until it is ready.
    pub async fn start(binary: &Path, kubeconfig: &Path, log: &Path, args: &[&str]) -> Self {
        let began = Instant::now();
        let mut command = Command::new(binary);
        command
            .args(["run", "--bind", "127.0.0.1:0", "--allow-http-loopback"])
            .args(args)
            .env("KUBECONFIG", kubeconfig);
        let mut operator = Self {
            process: Process::start(&mut command, log),
            log: log.to_owned(),
            url: String::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            ready_after: Duration::ZERO,
        };
        while !operator.is_ready().await {
            operator.check();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        operator.ready_after = began.elapsed();
        operator
    }

    async fn is_ready(&mut self) -> bool {
        if self.url.is_empty() {
            let log = self.log();
            let address = log.split("health and metrics on ").nth(1);
            let Some((address, _)) = address.and_then(|rest| rest.split_once('\n')) else {
                return false;
            };
            address.trim().clone_into(&mut self.url);
        }
        let answer = self.http.get(format!("{}/readyz", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// How long `/livez` takes to answer.
    pub async fn livez(&self) -> Duration {
        let started = Instant::now();
        let answer = self.http.get(format!("{}/livez", self.url)).send().await;
        assert!(answer.unwrap().status().is_success());
        started.elapsed()
    }

    /// Ends the measurement if the process has ended.
    pub fn check(&mut self) {
        if let Some(status) = self.process.ended() {
            panic!("the operator has ended ({status}): {}", self.log());
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The sum of all values of a metric whose labels contain this text.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self
            .http
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .unwrap();
        let text = text.text().await.unwrap();
        sum(&text, name, labels)
    }

    /// Statuses written so far.
    pub async fn status_writes(&self) -> f64 {
        self.metric("warehouse_sync_status_writes_total", "").await
    }

    pub fn memory(&self) -> Resident {
        self.process.memory()
    }

    /// Seconds on the processors so far.
    pub fn processor_seconds(&self) -> f64 {
        self.process.processor_seconds()
    }
}
