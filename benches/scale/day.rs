//! As many polls as a day has, in minutes: a person's annotation asks for each. Every poll finds another table changed, so that
//! statuses are written and events published all the time. Memory that grows with polls shows.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use posthog_simulator::{RateLimits, Status};
use tokio::time::sleep;

use crate::{operator::Operator, say, stage::Stage};

pub struct Growth {
    pub polls: usize,
    /// Resident memory after each tenth of the polls.
    pub memory: Vec<u64>,
}

/// The project whose policies are asked.
const PROJECT: usize = 0;

pub fn measure(stage: &Stage, polls: usize) -> Growth {
    say(&format!("{polls} polls one after the other"));
    stage.posthog.simulator().set_rate_limits(RateLimits {
        enabled: false,
        ..RateLimits::default()
    });
    stage.runtime.block_on(poll(stage, polls))
}

async fn poll(stage: &Stage, polls: usize) -> Growth {
    let operator = stage
        .operator(&["--time-factor", "600", "--quota-share", "100"])
        .await;
    let tables = {
        let simulator = stage.posthog.simulator();
        let source = simulator.source_id("p1_0001").unwrap();
        simulator.schema_ids(&source)
    };
    let mut memory = Vec::new();
    for number in 0..polls {
        let table = &tables[number % tables.len()];
        let (status, error) = if number / tables.len() % 2 == 0 {
            (
                Status::Failed,
                Some("the server closed the connection unexpectedly"),
            )
        } else {
            (Status::Completed, None)
        };
        stage
            .posthog
            .simulator()
            .set_status(table, Some(status), error)
            .unwrap();
        let before = passes(&operator).await;
        stage
            .request_poll(
                PROJECT,
                number % stage.size.each(),
                &Timestamp::now().to_string(),
            )
            .await;
        // One reconcile for each policy of the project: all receive the new list.
        wait_for(&operator, before + stage.size.each() as f64).await;
        if (number + 1) % (polls / 10).max(1) == 0 {
            memory.push(operator.memory().now);
        }
    }
    Growth { polls, memory }
}

async fn passes(operator: &Operator) -> f64 {
    operator.metric("warehouse_sync_reconciles_total", "").await
}

async fn wait_for(operator: &Operator, wanted: f64) {
    let began = Instant::now();
    while passes(operator).await < wanted && began.elapsed() < Duration::from_secs(30) {
        sleep(Duration::from_millis(5)).await;
    }
}
