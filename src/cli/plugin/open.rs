//! `open`: the page of a table's source in `PostHog`.

use std::{
    io::IsTerminal,
    process::{Command, ExitCode, Stdio},
};

use clap::Args;
use serde::Serialize;

use super::{
    PluginError,
    cluster::ClusterArgs,
    print::{Format, print},
    subject::{self, Subject},
};
use crate::{api::WarehouseSyncPolicy, api::host::Host, cli::print_error};

/// Arguments of `open`.
#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// Name of the policy
    name: String,
    /// Name or id of a table or source that its status shows. Default: the list of sources
    #[arg(value_name = "TABLE")]
    subject: Option<String>,
    /// Only print the URL; this is also what happens without a terminal
    #[arg(long)]
    print: bool,
}

/// A page of `PostHog`.
#[derive(Debug, Serialize)]
struct Page {
    url: String,
}

/// Opens the page in a browser, or prints its URL.
pub(super) async fn open(
    args: &OpenArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let policy = cluster.connect().await?.policy(&args.name).await?;
    let source_id = match &args.subject {
        None => None,
        Some(wanted) => {
            let found: Vec<Subject<'_>> = subject::find(&policy, wanted)?;
            found.first().map(|subject| subject.source_id.to_owned())
        }
    };
    let url = url(&policy, source_id.as_deref())?;
    if !args.print && std::io::stdout().is_terminal() && matches!(format, Format::Table) {
        browse(&url);
    }
    print(format, &Page { url: url.clone() }, || format!("{url}\n"))
}

/// The page of a source, or of all sources. Newer versions of `PostHog` redirect from there.
pub(super) fn url(
    policy: &WarehouseSyncPolicy,
    source_id: Option<&str>,
) -> Result<String, PluginError> {
    let project = &policy.spec.posthog;
    let host = Host::parse(&project.host);
    let host = host.map_err(|error| PluginError::refused(error.to_string()))?;
    let base = format!("{host}/project/{}/data-warehouse", project.project_id);
    // An id is a UUID; anything else must not change the path.
    let id = source_id.filter(|id| !id.is_empty());
    Ok(id.map_or_else(
        || base.clone(),
        |id| {
            let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
            format!("{base}/sources/managed-{id}/schemas")
        },
    ))
}

/// Starts the browser. The URL is printed anyway.
fn browse(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let started = Command::new(program)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if let Err(error) = started {
        print_error(&format!("note: cannot start {program}: {error}"));
    }
}
