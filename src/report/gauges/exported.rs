//! When tables last succeeded, of policies that export it. The only labels that name objects: at most 1,000 tables of a policy, and
//! 20,000 in total.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::total::{Seconds, seconds};
use crate::{api::validated::PolicyRef, diagnose::Exported};

/// Most tables of all policies together. Anyone who may create policies adds series, and a scrape above the limits of Prometheus
/// loses every metric of the operator.
pub const MAX_SERIES: usize = 20_000;

/// The tables of a policy, by the names of source and table.
type Tables = BTreeMap<(String, String), Timestamp>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TableLabels {
    namespace: String,
    policy: String,
    source: String,
    schema: String,
}

/// Registers the series of all policies.
pub fn register<'a>(
    policies: impl Iterator<Item = (&'a PolicyRef, &'a Exported)>,
    registry: &mut Registry,
) {
    let last_success = Family::<TableLabels, Seconds>::default();
    let mut room = MAX_SERIES;
    let mut left_out = 0;
    for (at, tables) in in_order(policies) {
        let Some(rest) = room.checked_sub(tables.len()) else {
            left_out += tables.len();
            continue;
        };
        room = rest;
        for ((source, schema), time) in tables {
            let labels = TableLabels {
                namespace: at.namespace.to_string(),
                policy: at.name.to_string(),
                source: source.clone(),
                schema: schema.clone(),
            };
            last_success.get_or_create(&labels).set(seconds(*time));
        }
    }
    registry.register_with_unit(
        "table_last_success_timestamp",
        "Time of the last completed run of a table, for tables with spec.health.freshness.export",
        Unit::Seconds,
        last_success,
    );
    let not_exported: Gauge = Gauge::default();
    not_exported.set(i64::try_from(left_out).unwrap_or(i64::MAX));
    registry.register(
        "tables_not_exported",
        "Tables with spec.health.freshness.export that have no series, because there are too many of all policies",
        not_exported,
    );
}

/// Namespaces with the fewest tables first, and in a namespace the smallest policies: a team that exports too much loses its own.
fn in_order<'a>(
    policies: impl Iterator<Item = (&'a PolicyRef, &'a Exported)>,
) -> Vec<(&'a PolicyRef, &'a Tables)> {
    let mut of_namespaces = HashMap::new();
    let mut all = Vec::new();
    for (at, exported) in policies {
        if let Exported::Tables(tables) = exported {
            *of_namespaces.entry(&at.namespace).or_insert(0) += tables.len();
            all.push((at, tables));
        }
    }
    all.sort_by_key(|(at, tables)| (of_namespaces.get(&at.namespace).copied(), tables.len(), *at));
    all
}
