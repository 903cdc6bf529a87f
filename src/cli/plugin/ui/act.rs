//! What a form of the page asks for, done as the caller by the same functions as the commands use.

use jiff::Timestamp;

use super::card::asks_for_name;
use crate::{
    api::proposal::Proposal,
    cli::plugin::{
        PluginError,
        annotation::{Annotation, value},
        answer::{in_words, put},
        approve::approvable,
        cluster::Cluster,
        deny::deniable,
        suspend::{Set, set},
        trigger::Trigger,
        words,
    },
    posthog::visible,
};

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// From the body of a request.
    pub(super) fn read(body: &[u8]) -> Self {
        Self(form_urlencoded::parse(body).into_owned().collect())
    }

    fn field(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value)
    }
}

/// Does it to the policy `name`. Returns what was done.
pub(super) async fn act(cluster: &Cluster, name: &str, form: &Form) -> Result<String, PluginError> {
    match form.field("do") {
        "approve" => approve(cluster, name, form).await,
        "deny" => deny(cluster, name, form).await,
        "reconcile" => reconcile(cluster, name).await,
        "suspend" => suspend(cluster, name, true).await,
        "resume" => suspend(cluster, name, false).await,
        other => Err(PluginError::refused(format!(
            "{other:?} is unknown. Nothing was changed"
        ))),
    }
}

async fn approve(cluster: &Cluster, name: &str, form: &Form) -> Result<String, PluginError> {
    let policy = cluster.policy(name).await?;
    let proposal = approvable(&policy, form.field("id"))?;
    if asks_for_name(proposal) && !is_title(proposal, form.field("title")) {
        return Err(PluginError::refused(format!(
            "{} was not approved, because the typed name does not match. Nothing was changed",
            in_words(proposal)
        )));
    }
    let by = cluster.user_name().await?;
    put(cluster, &policy, &Annotation::approval(&proposal.id, &by)).await?;
    Ok(format!(
        "{} is approved by {by}. The operator starts it when every guard allows it",
        in_words(proposal)
    ))
}

async fn deny(cluster: &Cluster, name: &str, form: &Form) -> Result<String, PluginError> {
    let policy = cluster.policy(name).await?;
    let proposal = deniable(&policy, form.field("id"))?;
    let reason = value(form.field("reason")).map_err(|why| {
        PluginError::refused(format!(
            "the reason cannot be used: {why}. Nothing was changed"
        ))
    })?;
    put(cluster, &policy, &Annotation::denial(&proposal.id, &reason)).await?;
    Ok(format!("{} is denied", in_words(proposal)))
}

async fn reconcile(cluster: &Cluster, name: &str) -> Result<String, PluginError> {
    let trigger = Trigger::Poll.annotation(Timestamp::now().to_string());
    cluster.annotate(name, &trigger).await?;
    Ok("The operator is asked to poll PostHog now. This page shows the result".to_owned())
}

async fn suspend(cluster: &Cluster, name: &str, suspend: bool) -> Result<String, PluginError> {
    let Set { changed, note } = set(cluster, name, suspend).await?;
    let already = if changed { "" } else { "already " };
    let means = words::suspended(suspend);
    let note = note.map_or_else(String::new, |note| format!(". Note: {note}"));
    Ok(format!("{name} is {already}{means}{note}"))
}

/// Whether the name was typed, as it is or as the page shows it.
fn is_title(proposal: &Proposal, typed: &str) -> bool {
    let title = proposal.title().trim();
    [title, &visible::lines(title)].contains(&typed.trim())
}
