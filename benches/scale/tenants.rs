//! What one tenant can cost the others: the memory of many large projects, and how soon `/livez` answers beside hostile policies.

use std::time::{Duration, Instant};

use kube::Api;
use serde_json::{Value, json};
use warehouse_sync_operator::api::{WarehouseSyncPolicy, glob::MOST_CHARACTERS};

use crate::{
    data::{self, Mix, memory::Resident},
    operator::Operator,
    say,
    stage::{Size, Stage},
};

/// Projects of the first measurement, and the tables of each.
const PROJECTS: usize = 8;
const TABLES: u32 = 100_000;
/// Sources of each.
const SOURCES: u32 = 10;

/// Policies of the second, and the tables of their project.
const HOSTILE: usize = 4;
const NAMES: u32 = 10_000;

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
pub fn measure(binary: &std::path::Path, interval: Duration) -> Tenants {
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

fn project(number: usize, tables: u32) -> data::Size {
    data::Size {
        project: crate::stage::id(number),
        sources: SOURCES,
        tables: tables / SOURCES,
    }
}

fn large(binary: &std::path::Path, interval: Duration) -> Resident {
    let sizes: Vec<data::Size> = (0..PROJECTS).map(|n| project(n, TABLES)).collect();
    let scenario = data::scenario(&sizes, Mix::Usual);
    let stage = Stage::bare(
        &scenario,
        Size {
            policies: PROJECTS,
            tables: 0,
        },
        interval,
        binary,
    );
    let policies = (0..PROJECTS).map(|project| (project, json!({}))).collect();
    stage.runtime.block_on(async {
        let operator = started(&stage, policies).await;
        operator.memory()
    })
}

fn hostile(binary: &std::path::Path, interval: Duration) -> (Duration, usize) {
    let mut scenario = data::scenario(&[project(0, NAMES)], Mix::Well);
    scenario.sources[0].schemas[0].name = "a".repeat(245);
    let stage = Stage::bare(
        &scenario,
        Size {
            policies: HOSTILE,
            tables: 0,
        },
        interval,
        binary,
    );
    stage.runtime.block_on(async {
        let operator = started(&stage, (0..HOSTILE).map(|_| (0, worst())).collect()).await;
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
async fn started(stage: &Stage, policies: Vec<(usize, Value)>) -> Operator {
    let mut projects: Vec<usize> = policies.iter().map(|(project, _)| *project).collect();
    projects.dedup();
    for project in projects {
        stage.create_namespace(project).await.unwrap();
    }
    let wanted = policies.len();
    for (number, (project, more)) in policies.into_iter().enumerate() {
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
