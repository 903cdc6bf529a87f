//! `explain`: what an error text means. Reads no network and no cluster.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{CliError, batch::batch, output, report};
use crate::{
    api::status::{Action, Confidence, RootCause},
    diagnose::{
        Cause,
        causes::Remedy,
        classify::{NO_RULE, classify},
    },
    observe::Reading,
    posthog::redact,
};

/// Longest part of a text that is shown again, in characters.
const SHOWN: usize = 300;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 every text was read (also one that no rule knows: its cause is Unknown), 1 a line of the batch was broken, 2 wrong\n\
flags, 3 the input could not be read or the output not be written."
)]
pub(super) struct ExplainArgs {
    /// The error text, as PostHog shows it in `latest_error`
    #[arg(required_unless_present = "batch", conflicts_with = "batch")]
    text: Option<String>,

    /// Type of the source as PostHog names it, for example Postgres. It helps with texts that several kinds of source use
    #[arg(long, value_name = "TYPE", conflicts_with = "batch")]
    source_type: Option<String>,

    /// How to print
    #[arg(long, short, value_enum, default_value_t = Format::Table, conflicts_with = "batch")]
    output: Format,

    /// Read one JSON object per line from standard input, {"id", "text", "sourceType"?}, and write one per line, {"id", "cause",
    /// "confidence", "rule", "advice"}. A broken line gets cause Unknown and a field "error", and is named on standard error
    #[arg(long)]
    batch: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// One JSON object
    Json,
}

/// What `explain` says of a text.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation<'a> {
    cause: RootCause,
    confidence: Confidence,
    rule: &'a str,
    advice: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<Action>,
    needs_approval: bool,
}

/// Explains one text, or those of standard input.
pub(super) fn explain(args: &ExplainArgs) -> Result<ExitCode, CliError> {
    let Some(text) = &args.text else {
        return batch(std::io::stdin().lock(), std::io::stdout().lock());
    };
    let reading = classify(text, args.source_type.as_deref());
    let explanation = Explanation {
        cause: reading.cause,
        confidence: reading.confidence,
        rule: reading.rule,
        advice: reading.advice().by_hand,
        action: Cause::of(reading.cause).remedy.action(),
        needs_approval: matches!(Cause::of(reading.cause).remedy, Remedy::NeedsApproval(_)),
    };
    let printed = match args.output {
        Format::Json => output::json(&explanation)?,
        Format::Table => table(text, &reading),
    };
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

fn table(text: &str, reading: &Reading) -> String {
    let mut fields = vec![
        ("Text", redact::text(text, SHOWN)),
        (
            "Cause",
            format!("{} ({})", reading.cause.as_str(), reading.cause.meaning()),
        ),
        ("Confidence", format!("{:?}", reading.confidence)),
        ("Why", why(reading)),
        ("What to do", reading.advice().by_hand.to_owned()),
    ];
    fields
        .extend(report::operator(Cause::of(reading.cause).remedy).map(|could| ("Operator", could)));
    report::fields("", &fields, output::width())
}

fn why(reading: &Reading) -> String {
    if reading.rule == NO_RULE {
        "no rule knows this text; a wrong cause would be worse than none".to_owned()
    } else {
        format!("rule {}", reading.rule)
    }
}
