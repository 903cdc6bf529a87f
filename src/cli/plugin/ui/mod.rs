//! `ui`: policies and proposals in a browser, with the rights of the caller.
//!
//! The page is served on 127.0.0.1 by this process, and reads and writes with the caller's kubeconfig: the API server
//! decides about each request, as it does for the other commands. Nothing is installed in the cluster.

mod access;
mod act;
mod badge;
mod card;
mod frame;
mod live;
mod overview;
mod pages;
mod policy;
mod rights;
mod sentence;
mod timeline;

use std::{net::Ipv4Addr, process::ExitCode};

use clap::Args;
use tokio::net::TcpListener;

use super::{
    PluginError,
    cluster::{Cluster, ClusterArgs},
};
use crate::cli::output;
use access::Access;
use live::Live;

/// Arguments of `ui`.
#[derive(Debug, Args)]
pub(super) struct UiArgs {
    /// Port on 127.0.0.1. Default: a free one
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 0,
        hide_default_value = true
    )]
    port: u16,
}

/// Serves the page until the process ends.
pub(super) async fn ui(args: &UiArgs, cluster: &ClusterArgs) -> Result<ExitCode, PluginError> {
    let connected = cluster.connect().await?;
    let user = connected.user_name().await?;
    let scope = scope(cluster, &connected).await?;
    let cannot = |error| PluginError::refused(format!("cannot listen on 127.0.0.1: {error}"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port))
        .await
        .map_err(cannot)?;
    let access = Access::new(listener.local_addr().map_err(cannot)?.port())?;
    let live = Live::new(cluster.clone(), connected, scope);
    tokio::spawn(live.clone().run());
    output::print(&format!(
        "Open {}\nThe link works once, in one browser. Ctrl-C ends the page.\n",
        access.link()
    ))?;
    axum::serve(listener, pages::router(access, live, user))
        .await
        .map_err(cannot)?;
    Ok(ExitCode::SUCCESS)
}

/// The namespace of `--namespace`; without it all, or that of the context where the caller may not read all.
async fn scope(args: &ClusterArgs, cluster: &Cluster) -> Result<Option<String>, PluginError> {
    if let Some(namespace) = args.namespace() {
        return Ok(Some(namespace.to_owned()));
    }
    let everywhere = Cluster {
        namespace: String::new(),
        ..cluster.clone()
    };
    let all = everywhere.may("list", "").await? && everywhere.may("watch", "").await?;
    Ok((!all).then(|| cluster.namespace.clone()))
}
