//! When tables last succeeded, of policies that export it. The only labels that name objects: at most 1,000 tables of a policy.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::family::Family,
    registry::{Registry, Unit},
};

use super::total::{Seconds, seconds};
use crate::{api::validated::PolicyRef, diagnose::Exported};

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
    for (at, exported) in policies {
        let Exported::Tables(tables) = exported else {
            continue;
        };
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
}
