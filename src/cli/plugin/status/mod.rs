//! `status`: how policies are, worst first.

pub mod blocks;
mod detail;
mod overview;

use std::{io::IsTerminal, ops::ControlFlow, process::ExitCode, time::Duration};

use clap::Args;
use jiff::Timestamp;

use super::{
    PluginError,
    cluster::ClusterArgs,
    print::{Format, print},
    select::Selection,
    view,
    watch::follow,
};
use crate::{api::WarehouseSyncPolicy, cli::output};

pub(super) use blocks::clean;

/// How often a terminal is refreshed without a change, because texts such as `2 minutes ago` become wrong.
const REDRAW: Duration = Duration::from_secs(30);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    of: Selection,
    /// Show it again whenever it changes, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

/// Shows one policy in full, or what is wrong with several.
pub(super) async fn status(
    args: &StatusArgs,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    if args.watch {
        let terminal = std::io::stdout().is_terminal();
        let tick = terminal.then_some(REDRAW);
        return follow(&cluster, &args.of, tick, |policies| {
            if terminal {
                output::clear_screen()?;
            }
            show(policies, &args.of, format)?;
            Ok(ControlFlow::<ExitCode>::Continue(()))
        })
        .await;
    }
    show(&args.of.read(&cluster).await?, &args.of, format)
}

/// Shows these policies.
pub(super) fn show(
    policies: &[WarehouseSyncPolicy],
    of: &Selection,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let now = Timestamp::now();
    let views = view::worst_first(policies, now);
    match views.as_slice() {
        // For programs, the shape depends on the arguments only.
        [one] if of.name.is_some() => print(format, one, || detail::text(one, now)),
        [one] => print(format, &views, || detail::text(one, now)),
        [] => print(format, &views, || of.none().to_owned()),
        several => print(format, &views, || {
            overview::text(several, format == Format::Wide, now)
        }),
    }
}
