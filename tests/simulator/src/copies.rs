//! `copies`: many sources or schemas from one entry of a scenario, told apart by a number at the end of their names.

use std::borrow::Cow;

use crate::error::Error;
use crate::scenario::{SchemaSpec, SourceSpec};

/// The sources that an entry stands for: their prefixes get the number.
pub(crate) fn of_source(spec: &SourceSpec) -> Result<Vec<Cow<'_, SourceSpec>>, Error> {
    let Some(copies) = spec.copies else {
        return Ok(vec![Cow::Borrowed(spec)]);
    };
    let any_schema_id = spec.schemas.iter().any(has_id);
    let Some(prefix) = spec.prefix.as_ref().filter(|_| !any_schema_id) else {
        return Err(wrong("a source with copies has no prefix, or ids below it"));
    };
    if spec.id.is_some() {
        return Err(wrong(&format!("{prefix} has copies and an id")));
    }
    let copy = |number| {
        let mut copy = spec.clone();
        copy.prefix = Some(numbered(prefix, number));
        Cow::Owned(copy)
    };
    Ok((1..=copies).map(copy).collect())
}

/// The schemas that an entry stands for.
pub(crate) fn of_schema(spec: &SchemaSpec) -> Result<Vec<SchemaSpec>, Error> {
    let Some(copies) = spec.copies else {
        return Ok(vec![spec.clone()]);
    };
    if has_id(spec) {
        return Err(wrong(&format!("{} has copies and an id", spec.name)));
    }
    let copy = |number| {
        let mut copy = spec.clone();
        copy.name = numbered(&spec.name, number);
        copy
    };
    Ok((1..=copies).map(copy).collect())
}

/// Whether it, one of its jobs or its run has an id of the scenario's, which no second one may have.
fn has_id(spec: &SchemaSpec) -> bool {
    spec.id.is_some()
        || spec.jobs.iter().any(|job| job.id.is_some())
        || spec.run.as_ref().is_some_and(|run| run.id.is_some())
}

fn numbered(name: &str, number: u32) -> String {
    format!("{name}_{number:04}")
}

fn wrong(what: &str) -> Error {
    Error::Scenario(what.to_owned())
}
