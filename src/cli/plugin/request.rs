//! `request`: a person knows that the data of a table is wrong, and requests a proposal. Nothing is done until that is
//! approved.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use kube::ResourceExt;

use super::{
    PluginError, annotation::Annotation, cluster::ClusterArgs, confirm::confirm, print::Format,
    written::print_written,
};
use crate::{
    api::{WarehouseSyncPolicy, names::REQUEST, policy::Mode},
    cli::print_error,
};

/// Arguments of `request`.
#[derive(Debug, Args)]
pub(super) struct RequestArgs {
    /// Name of the policy, which must select the table
    name: String,
    /// Id of the table in PostHog, as status and the URL of PostHog's UI show it
    schema_id: String,
    /// The action to propose
    #[arg(value_enum)]
    action: RequestedAction,
    /// Do not ask to type the table's name
    #[arg(long, short)]
    yes: bool,
}

/// An action that can be requested.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RequestedAction {
    /// Delete the table's rows and import it from the beginning
    #[value(name = "Resync")]
    Resync,
    /// Delete the table's data
    #[value(name = "DeleteData")]
    DeleteData,
}

impl RequestedAction {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Resync => "Resync",
            Self::DeleteData => "DeleteData",
        }
    }
}

/// Requests one proposal.
pub(super) async fn request(
    args: &RequestArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let id = id(&args.schema_id)?;
    let cluster = cluster.connect().await?;
    let policy = cluster.policy(&args.name).await?;
    let title = title(&policy, id).unwrap_or(id);
    let action = args.action.as_str();
    confirm(args.yes, &format!("{action} of {title}"), title)?;
    if policy.spec.mode == Mode::Observe {
        print_error("note: the policy is in mode Observe, so nothing will be proposed");
    }
    let annotation = Annotation::request(id, next_value(&policy, id, action));
    cluster.annotate(&args.name, &annotation).await?;
    let place = format!("policy {} in namespace {}", args.name, cluster.namespace);
    print_written(format, &annotation, &place, true)
}

/// An id that is valid at the end of an annotation's key.
fn id(text: &str) -> Result<&str, PluginError> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let outer = |c: char| c.is_ascii_alphanumeric();
    if text.chars().all(inner)
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.len() <= 63
    {
        return Ok(text);
    }
    Err(PluginError::refused(format!(
        "{text:?} is not the id of a table: look it up in .status.findings[].schemaId, or in the URL of the table's page in PostHog"
    )))
}

/// The table's name, if the status contains it.
fn title<'a>(policy: &'a WarehouseSyncPolicy, id: &str) -> Option<&'a str> {
    let status = policy.status.as_ref()?;
    let findings = status.findings.iter();
    let findings = findings.map(|finding| (&finding.schema_id, &finding.schema));
    let targets = status.proposals.iter().map(|proposal| &proposal.target);
    let targets = targets.map(|target| (&target.schema_id, &target.schema));
    let mut named = findings.chain(targets).filter(|(_, name)| !name.is_empty());
    let (_, name) = named.find(|(own, _)| *own == id)?;
    Some(name)
}

/// The value that requests `action`: different from earlier ones, because each value takes effect once.
fn next_value(policy: &WarehouseSyncPolicy, id: &str, action: &str) -> String {
    let asked = policy.annotations().get(&format!("{REQUEST}{id}"));
    let states = policy
        .status
        .iter()
        .flat_map(|status| &status.state.schemas);
    let handled = states
        .filter(|state| state.id == id)
        .filter_map(|state| state.request_handled.as_ref());
    let times = asked
        .into_iter()
        .chain(handled)
        .filter_map(|value| times(value, action));
    match times.max() {
        None => action.to_owned(),
        Some(times) => format!("{action}@{}", times.saturating_add(1)),
    }
}

/// The number of the request of `action` in `value`.
fn times(value: &str, action: &str) -> Option<u32> {
    match value.strip_prefix(action)? {
        "" => Some(1),
        again => again.strip_prefix('@')?.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_request_is_read_from_its_value() {
        assert_eq!(times("Resync", "Resync"), Some(1));
        assert_eq!(times("Resync@7", "Resync"), Some(7));
        for other in ["DeleteData", "Resync@x", "Resyncs", "Resync 2"] {
            assert_eq!(times(other, "Resync"), None, "{other}");
        }
    }
}
