//! `reconcile` and `reset`: an annotation that asks the operator for something, and its effect.

use std::{ops::ControlFlow, process::ExitCode, time::Duration};

use clap::Args;
use jiff::Timestamp;

use super::{
    PluginError, annotation::Annotation, cluster::ClusterArgs, print::Format, select::Selection,
    status, watch::follow,
};
use crate::{
    api::{
        WarehouseSyncPolicy,
        conditions::READY,
        duration::DurationText,
        names::{REQUESTED_AT, RESET_AT},
        status::State,
    },
    cli::print_error,
};

/// Arguments of `reconcile` and `reset`.
#[derive(Debug, Args)]
pub(super) struct TriggerArgs {
    /// Name of the policy
    name: String,
    /// How long to wait for the effect, for example 90s or 5m; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    timeout: Duration,
}

/// A request to the operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trigger {
    /// Poll `PostHog` now.
    Poll,
    /// Count attempts from one again.
    Reset,
}

impl Trigger {
    /// What asks for it: each value takes effect once.
    pub(super) fn annotation(self, value: String) -> Annotation {
        let key = match self {
            Self::Poll => REQUESTED_AT,
            Self::Reset => RESET_AT,
        };
        Annotation {
            key: key.to_owned(),
            value,
        }
    }

    /// The value that last took effect.
    fn handled(self, state: &State) -> Option<&str> {
        match self {
            Self::Poll => state.poll_handled.as_deref(),
            Self::Reset => state.reset_handled.as_deref(),
        }
    }

    /// What has not happened in time.
    const fn missing(self) -> &'static str {
        match self {
            Self::Poll => "PostHog was not polled",
            Self::Reset => "the reset did not take effect",
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let read = DurationText::from(text).read("the duration");
    Ok(read.map_err(|error| error.to_string())?.unsigned_abs())
}

/// Asks, waits for the effect, and shows the policy.
pub(super) async fn run(
    args: &TriggerArgs,
    trigger: Trigger,
    cluster: &ClusterArgs,
    format: Format,
) -> Result<ExitCode, PluginError> {
    let cluster = cluster.connect().await?;
    cluster.policy(&args.name).await?;
    let token = Timestamp::now().to_string();
    cluster
        .annotate(&args.name, &trigger.annotation(token.clone()))
        .await?;
    let of = Selection::one(&args.name);
    if args.timeout.is_zero() {
        return status::show(&of.read(&cluster).await?, &of, format);
    }
    let mut said = String::new();
    let took_effect = follow(&cluster, &of, None, |policies| {
        let Some(policy) = policies.first() else {
            return Err(PluginError::refused("the policy was deleted"));
        };
        let state = policy.status.as_ref().map(|status| &status.state);
        if state.and_then(|state| trigger.handled(state)) == Some(token.as_str()) {
            return Ok(ControlFlow::Break(policies.to_vec()));
        }
        let why = unread(policy);
        if !why.is_empty() && why != said {
            print_error(&format!("waiting: {why}"));
        }
        said = why;
        Ok(ControlFlow::Continue(()))
    });
    let Ok(policies) = tokio::time::timeout(args.timeout, took_effect).await else {
        let why = match said.as_str() {
            "" => "The operator may not be running: see `kubectl wsp doctor`",
            why => why,
        };
        return Err(PluginError::refused(format!(
            "{} within {:?}; the request remains. {why}",
            trigger.missing(),
            args.timeout
        )));
    };
    status::show(&policies?, &of, format)
}

/// Why `PostHog` cannot be polled, if the operator reports that.
fn unread(policy: &WarehouseSyncPolicy) -> String {
    let status = policy.status.as_ref();
    let ready = status.and_then(|status| status.condition(READY));
    let unread = ready.filter(|ready| ready.status != "True");
    unread.map_or_else(String::new, |ready| {
        format!("Ready is {}: {}", ready.status, ready.message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_written_like_the_durations_of_a_policy() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "5", "1d", "-1m", "2 minutes"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
