//! `explain`: what an error text means. Reads no network and no cluster.

use std::{
    io::{BufRead, BufWriter, ErrorKind, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CliError, output, report};
use crate::{
    api::status::{Action, Confidence, RootCause},
    decide::remedy::{Remedy, remedy},
    diagnose::classify::{Reading, classify},
    posthog::redact,
};

/// Longest part of a text that is shown again, in characters.
const SHOWN: usize = 300;

/// Arguments of `explain`.
#[derive(Debug, Args)]
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
    /// "confidence", "rule", "advice"}. A broken line gets cause Unknown and a field "error"; the exit code is then 1
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
        advice: reading.advice(),
        action: remedy(reading.cause).action(),
        needs_approval: matches!(remedy(reading.cause), Remedy::NeedsApproval(_)),
    };
    let printed = match args.output {
        Format::Json => output::json(&explanation)?,
        Format::Table => table(text, &reading),
    };
    output::print(&printed)?;
    Ok(ExitCode::SUCCESS)
}

fn table(text: &str, reading: &Reading) -> String {
    let fields = [
        ("Text", redact::text(text, SHOWN)),
        (
            "Cause",
            format!("{} ({})", reading.cause.as_str(), reading.cause.meaning()),
        ),
        ("Confidence", format!("{:?}", reading.confidence)),
        ("Why", why(reading)),
        ("What to do", reading.advice().to_owned()),
        ("Operator", report::operator(reading.cause)),
    ];
    report::fields("", &fields)
}

fn why(reading: &Reading) -> String {
    if reading.rule == "none" {
        "no rule knows this text; a wrong cause would be worse than none".to_owned()
    } else {
        format!("rule {}", reading.rule)
    }
}

/// A line of the batch.
#[derive(Debug, Deserialize)]
struct Question {
    #[serde(default)]
    id: Value,
    text: String,
    #[serde(default, rename = "sourceType", alias = "source_type")]
    source_type: Option<String>,
}

/// An answer of the batch.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    id: Value,
    cause: RootCause,
    confidence: Confidence,
    rule: &'a str,
    advice: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

fn batch(mut input: impl BufRead, output: impl Write) -> Result<ExitCode, CliError> {
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut line = Vec::new();
    let (mut number, mut broken) = (0_u64, 0_u64);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let answer = answer(&line, number);
        if let Some(error) = &answer.error {
            broken += 1;
            anstream::eprintln!("{error}");
        }
        match write_line(&mut output, &answer) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.map_err(|error| CliError::Print(error.to_string()))?,
        }
    }
    match output.flush() {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Print(error.to_string()))
        }
        _ => Ok(ExitCode::from(u8::from(broken > 0))),
    }
}

fn write_line(output: &mut impl Write, answer: &Answer<'_>) -> std::io::Result<()> {
    serde_json::to_writer(&mut *output, answer)?;
    output.write_all(b"\n")
}

fn answer(line: &[u8], number: u64) -> Answer<'static> {
    // A file that was saved on Windows begins with a mark.
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    match serde_json::from_slice::<Question>(line) {
        Ok(question) => {
            let reading = classify(&question.text, question.source_type.as_deref());
            Answer {
                id: question.id,
                cause: reading.cause,
                confidence: reading.confidence,
                rule: reading.rule,
                advice: reading.advice(),
                error: None,
            }
        }
        Err(error) => Answer {
            // What can be read of it, so that whoever asked finds the line again.
            id: serde_json::from_slice::<Value>(line)
                .ok()
                .and_then(|value| value.get("id").cloned())
                .unwrap_or(Value::Null),
            cause: RootCause::Unknown,
            confidence: Confidence::Low,
            rule: "none",
            advice: "Write the line as a JSON object with the fields id, text and, if known, sourceType.",
            error: Some(format!(
                "line {number} is not {{\"id\", \"text\", \"sourceType\"?}}: {error}"
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> (Vec<Value>, ExitCode) {
        let mut output = Vec::new();
        let code = batch(input, &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        (
            lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
            code,
        )
    }

    #[test]
    fn each_line_gets_an_answer_with_its_id_also_a_broken_one() {
        let input = b"\xef\xbb\xbf{\"id\":7,\"text\":\"x\"}\r\n\n{\"id\":\"b\",\"text\":null}\nnonsense\n\xff\xfe\n{\"id\":\"c\",\"text\":\"Sync cancelled by user\",\"sourceType\":null,\"more\":1}";
        let (answers, code) = run(input);
        let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(
            ids,
            [7.into(), "b".into(), Value::Null, Value::Null, "c".into()]
        );
        assert_eq!(answers[4]["cause"], "OperatorAction");
        for broken in &answers[1..4] {
            assert_eq!(broken["cause"], "Unknown");
            assert!(
                broken["error"].as_str().unwrap().starts_with("line "),
                "{broken}"
            );
        }
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
    }

    #[test]
    fn nothing_in_is_nothing_out() {
        let (answers, code) = run(b"");
        assert!(answers.is_empty());
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    }
}
