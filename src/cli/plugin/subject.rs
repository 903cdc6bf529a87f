//! Finds a table or a source of a status by its name or id.

use kube::ResourceExt;

use super::PluginError;
use crate::api::WarehouseSyncPolicy;

/// Most names that an error lists.
const NAMES: usize = 20;

/// A table or a source that a status shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject<'a> {
    /// Name of the source.
    pub source: &'a str,
    pub source_id: &'a str,
    /// Name of the table; empty for a whole source.
    pub schema: &'a str,
    /// Id of the table; empty for a whole source.
    pub schema_id: &'a str,
}

impl Subject<'_> {
    /// Name of the table, or of the source.
    pub(super) const fn name(&self) -> &str {
        if self.schema.is_empty() {
            self.source
        } else {
            self.schema
        }
    }

    fn is(&self, wanted: &str) -> bool {
        if self.schema_id.is_empty() {
            return self.source_id == wanted || self.source.eq_ignore_ascii_case(wanted);
        }
        self.schema_id == wanted || self.schema == wanted
    }
}

/// Everything that the status shows something about, sorted, each once.
pub(super) fn all(policy: &WarehouseSyncPolicy) -> Vec<Subject<'_>> {
    let status = policy.status.iter();
    let mut all: Vec<Subject<'_>> = Vec::new();
    for status in status {
        all.extend(status.findings.iter().map(|one| Subject {
            source: &one.source,
            source_id: &one.source_id,
            schema: &one.schema,
            schema_id: &one.schema_id,
        }));
        all.extend(status.incidents.iter().map(|one| Subject {
            source: &one.source,
            source_id: &one.source_id,
            schema: &one.schema,
            schema_id: &one.schema_id,
        }));
        let targets = status.proposals.iter().map(|one| &one.target);
        all.extend(targets.map(|one| Subject {
            source: &one.source,
            source_id: &one.source_id,
            schema: &one.schema,
            schema_id: &one.schema_id,
        }));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Those that `wanted` names: several tables may have the same name. A source without a finding of its own is found by
/// its tables.
pub(super) fn find<'a>(
    policy: &'a WarehouseSyncPolicy,
    wanted: &str,
) -> Result<Vec<Subject<'a>>, PluginError> {
    let all = all(policy);
    let found: Vec<Subject<'a>> = all.iter().copied().filter(|one| one.is(wanted)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let of_source =
        |one: &Subject<'a>| one.source_id == wanted || one.source.eq_ignore_ascii_case(wanted);
    let found: Vec<Subject<'a>> = all.iter().copied().filter(of_source).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = all.iter().map(Subject::name).take(NAMES).collect();
    let names = match names.as_slice() {
        [] => "it shows none".to_owned(),
        names => format!("it shows {}", names.join(", ")),
    };
    Err(PluginError::refused(format!(
        "the status of policy {} shows no table or source {wanted:?}: {names}",
        policy.name_any()
    )))
}
