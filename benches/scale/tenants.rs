//! What one tenant can cost the others: the memory of many large projects, and how soon `/livez` answers beside hostile policies.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::Api;
use posthog_simulator::Scenario;
use serde_json::{Value, json};
use warehouse_sync_operator::api::{WarehouseSyncPolicy, glob::MOST_CHARACTERS};

use crate::{
    data::memory::Resident,
    operator::Operator,
    say,
    stage::{Size, Stage},
};

/// Projects of the first measurement, and the tables of each.
const PROJECTS: usize = 8;
const TABLES: usize = 100_000;
/// Sources of each.
const SOURCES: usize = 10;

/// Policies of the second, and the tables of their project.
const HOSTILE: usize = 4;
const NAMES: usize = 10_000;

/// Polls that are waited for.
const POLLS: u64 = 3;

/// What was measured.
pub struct Tenants {
    pub memory: Resident,
    /// Seconds until `/livez` answered: the longest.
    pub livez: Duration,
    pub asked: usize,
}

/// Measures both, one after the other.
pub fn measure(binary: &Path, interval: Duration) -> Tenants {
    let memory = large(binary, interval);
    let (livez, asked) = hostile(binary, interval);
    Tenants {
        memory,
        livez,
        asked,
    }
}

pub fn render(tenants: &Tenants) -> String {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    format!(
        "| resident memory, {PROJECTS} projects of {TABLES} tables | {:.0} MiB ({:.0} at most) |\n| `/livez` beside {HOSTILE} hostile policies on {NAMES} names of 250 characters, longest of {} | {:.0} ms |",
        mib(tenants.memory.now),
        mib(tenants.memory.peak),
        tenants.asked,
        tenants.livez.as_secs_f64() * 1_000.0,
    )
}

/// A server that answers every list of sources with the same page, at once, and everything else with 404. The simulated PostHog needs
/// longer for a list of this size than the operator.
pub fn serve(page: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let page = Arc::new(page);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let page = page.clone();
            // A client that goes away is its own affair.
            std::thread::spawn(move || answer(&stream, &page).ok());
        }
    });
    url
}

fn answer(mut stream: &TcpStream, page: &[u8]) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let (mut head, mut line) = (String::new(), String::new());
        while lines.read_line(&mut line)? > 2 {
            head.push_str(&line);
            line.clear();
        }
        if head.is_empty() {
            return Ok(());
        }
        let is_list = head.contains("/external_data_sources/?");
        let (status, body) = if is_list {
            ("200 OK", page)
        } else {
            ("404 Not Found", &b"{}"[..])
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
    }
}

/// This many sources with so many tables each, all healthy, with names of that length.
pub fn page(sources: usize, tables: usize, length: usize) -> Vec<u8> {
    let now = Timestamp::now();
    let row = |source: usize, table: usize| {
        let name = format!("{}{table:06}x", "a".repeat(length.saturating_sub(7)));
        json!({
            "id": format!("0196f0aa-{source:04}-7000-8000-{table:012}"), "name": name, "should_sync": true, "status": "Completed",
            "last_synced_at": now, "latest_error": null, "sync_type": "incremental", "sync_frequency": "6hour",
            "table": {"id": format!("0196f0ab-{source:04}-7000-8000-{table:012}"), "row_count": 1_000_000},
        })
    };
    let sources: Vec<Value> = (0..sources)
        .map(|source| {
            let schemas: Vec<Value> = (0..tables).map(|table| row(source, table)).collect();
            json!({
                "id": format!("0196f0ac-{source:04}-7000-8000-000000000000"), "source_type": "Postgres", "prefix": format!("p{source}"),
                "status": "Completed", "access_method": "warehouse", "schemas": schemas,
            })
        })
        .collect();
    serde_json::to_vec(&json!({"count": sources.len(), "next": null, "results": sources})).unwrap()
}

fn stage(policies: usize, interval: Duration, binary: &Path) -> Stage {
    let size = Size {
        policies,
        tables: 0,
    };
    Stage::bare(&Scenario::default(), size, interval, binary)
}

fn large(binary: &Path, interval: Duration) -> Resident {
    let stage = stage(PROJECTS, interval, binary);
    let host = serve(page(SOURCES, TABLES / SOURCES, 30));
    let policies = (0..PROJECTS).map(|project| (project, json!({}))).collect();
    stage.runtime.block_on(async {
        let operator = started(&stage, &host, policies).await;
        operator.memory()
    })
}

fn hostile(binary: &Path, interval: Duration) -> (Duration, usize) {
    let stage = stage(HOSTILE, interval, binary);
    let host = serve(page(SOURCES, NAMES / SOURCES, 250));
    stage.runtime.block_on(async {
        let policies = (0..HOSTILE).map(|_| (0, worst())).collect();
        let operator = started(&stage, &host, policies).await;
        let (end, mut longest, mut asked) = (Instant::now() + interval * 3, Duration::ZERO, 0);
        while Instant::now() < end {
            longest = longest.max(operator.livez().await);
            asked += 1;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (longest, asked)
    })
}

/// The operator, with these policies on these projects, after some polls.
async fn started(stage: &Stage, host: &str, policies: Vec<(usize, Value)>) -> Operator {
    let mut projects: Vec<usize> = policies.iter().map(|(project, _)| *project).collect();
    projects.dedup();
    for project in projects {
        stage.create_namespace(project).await.unwrap();
    }
    let wanted = policies.len();
    for (number, (project, mut more)) in policies.into_iter().enumerate() {
        let key = json!({"name": "posthog", "key": "api-key"});
        more["posthog"] = json!({"host": host, "projectId": project + 1, "apiKeySecretRef": key});
        stage
            .create_policy_with(project, number, more)
            .await
            .unwrap();
    }
    let operator = stage.operator(&[]).await;
    let ready = || async {
        let all: Api<WarehouseSyncPolicy> = Api::all(stage.client.clone());
        let all = all.list(&kube::api::ListParams::default()).await.unwrap();
        let is_ready = |policy: &&WarehouseSyncPolicy| {
            let ready = policy
                .status
                .as_ref()
                .and_then(|status| status.condition("Ready"));
            ready.is_some_and(|ready| ready.status == "True")
        };
        all.items.iter().filter(is_ready).count()
    };
    while ready().await < wanted {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    say("every policy is ready");
    tokio::time::sleep(stage.interval * u32::try_from(POLLS).unwrap()).await;
    operator
}

/// The globs that take longest, as many as the CRD takes.
fn worst() -> Value {
    let long = |place: usize| format!("?*{}b{place:02}*", "a".repeat(250));
    let near = |place: usize| format!("{}*{place:03}y", "a".repeat(244));
    let globs = |many: usize| -> Vec<String> {
        let most = MOST_CHARACTERS / 256;
        (0..most).map(long).chain((most..many).map(near)).collect()
    };
    let mut include = globs(64);
    "*a??????*".clone_into(&mut include[1]);
    let overrides: Vec<Value> = globs(256)
        .chunks(4)
        .map(|globs| json!({"source": {"type": "Postgres"}, "schemas": globs}))
        .collect();
    json!({"selector": {"schemas": {"include": include, "exclude": globs(64)}}, "overrides": overrides})
}
