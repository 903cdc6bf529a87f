//! Projects as PostHog lists them: nearly every table is healthy, some run, a few failed, some are off.

pub mod memory;
pub mod page;
pub mod world;

use posthog_simulator::{KeySpec, RunInFlight, Scenario, SchemaSpec, SourceSpec, Status};

/// The error of the tables that failed: a usual one.
const ERROR: &str = "connection to server at \"db.example.com\" (203.0.113.7), port 5432 failed: FATAL: password authentication failed for user \"posthog\"";

/// One project to be.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Its id.
    pub project: u64,
    /// Its sources.
    pub sources: u32,
    /// The tables of each source.
    pub tables: u32,
}

/// What tables say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Every table is healthy: what an uneventful poll looks like.
    Healthy,
    /// Six of a hundred run, two failed, four are off, two are new: what a large project looks like on a working day.
    Usual,
}

/// Projects with these sizes, each with a key of its own: `key(project)`.
pub fn scenario(sizes: &[Size], mix: Mix) -> Scenario {
    let key = |size: &Size| KeySpec {
        token: key(size.project),
        projects: Some(vec![size.project]),
        ..KeySpec::default()
    };
    Scenario {
        project: sizes.first().map_or(1, |size| size.project),
        keys: sizes.iter().map(key).collect(),
        sources: sizes.iter().map(|size| source(size, mix)).collect(),
        ..Scenario::default()
    }
}

/// The API key of a project.
pub fn key(project: u64) -> String {
    format!("phx_{project}")
}

fn source(size: &Size, mix: Mix) -> SourceSpec {
    SourceSpec {
        project: Some(size.project),
        prefix: Some(format!("p{}", size.project)),
        copies: Some(size.sources),
        schemas: tables(size.tables, mix),
        ..SourceSpec::default()
    }
}

fn tables(count: u32, mix: Mix) -> Vec<SchemaSpec> {
    let healthy = SchemaSpec {
        last_synced_ago: Some(jiff::SignedDuration::from_hours(1)),
        rows: Some(1_000_000),
        ..SchemaSpec::default()
    };
    let named = |name: &str, copies: u32, spec: &SchemaSpec| SchemaSpec {
        name: format!("public.{name}"),
        copies: Some(copies),
        ..spec.clone()
    };
    let part = |percent: u32| match mix {
        Mix::Healthy => 0,
        Mix::Usual => count * percent / 100,
    };
    let (running, failed, off, new) = (part(6), part(2), part(4), part(2));
    let kinds = [
        named("orders", count - running - failed - off - new, &healthy),
        SchemaSpec {
            run: Some(RunInFlight::default()),
            ..named("events", running, &healthy)
        },
        SchemaSpec {
            status: Some(Status::Failed),
            latest_error: Some(ERROR.to_owned()),
            ..named("invoices", failed, &healthy)
        },
        SchemaSpec {
            should_sync: false,
            sync_type: None,
            last_synced_ago: None,
            rows: None,
            ..named("archive", off, &healthy)
        },
        SchemaSpec {
            last_synced_ago: None,
            rows: None,
            ..named("refunds", new, &healthy)
        },
    ];
    kinds
        .into_iter()
        .filter(|kind| kind.copies != Some(0))
        .collect()
}
