//! `explain --batch`: one answer for each line of standard input. A broken line does not affect other lines. Only its
//! `id` is shown: an error text may contain secrets, and so may a broken line.

use std::{
    io::{BufRead, BufReader, BufWriter, ErrorKind, Read, Write},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, error::Category};

use super::{
    CliError,
    output::{print_error, written},
};
use crate::{
    api::status::{Confidence, RootCause},
    diagnose::classify::{NO_RULE, classify},
    posthog::visible,
};

/// Longest line that is read, in bytes. A file without line breaks must not fill the memory.
const LONGEST: usize = 16 << 20;

/// The exit code if a line was broken.
const SOME_BROKEN: u8 = 1;

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
struct Answer {
    id: Value,
    cause: RootCause,
    confidence: Confidence,
    rule: &'static str,
    advice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers each line of `input` on a line of `output`, in order.
pub(super) fn batch(input: impl Read, output: impl Write) -> Result<ExitCode, CliError> {
    let mut lines = Lines::new(input);
    let mut output = BufWriter::with_capacity(1 << 16, output);
    let mut broken = false;
    while let Some((number, line)) = lines.next().map_err(CliError::Input)? {
        let Some(answer) = answer(line, number) else {
            continue;
        };
        if let Some(error) = &answer.error {
            broken = true;
            print_error(&format!("error: {error}"));
        }
        let result = write_line(&mut output, &answer);
        if is_broken_pipe(&result) {
            break;
        }
        written(result)?;
    }
    written(output.flush())?;
    Ok(ExitCode::from(if broken { SOME_BROKEN } else { 0 }))
}

fn write_line(output: &mut impl Write, answer: &Answer) -> std::io::Result<()> {
    let line = serde_json::to_string(answer)?;
    writeln!(output, "{}", visible::json(&line))
}

fn is_broken_pipe(result: &std::io::Result<()>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::BrokenPipe)
}

/// The lines of an input, none of which takes more memory than [`LONGEST`].
struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    /// Number of the line that was read last, from 1.
    number: u64,
}

/// A line, or an error if it is too long.
type Line<'a> = Result<&'a [u8], TooLong>;

#[derive(Debug, Clone, Copy)]
struct TooLong;

impl<R: Read> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            line: Vec::new(),
            number: 0,
        }
    }

    /// The next line with its number; none at the end.
    fn next(&mut self) -> std::io::Result<Option<(u64, Line<'_>)>> {
        self.line.clear();
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
        let read = (&mut self.input)
            .take(most)
            .read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read == LONGEST && !self.line.ends_with(b"\n") && self.skip_rest()? {
            return Ok(Some((self.number, Err(TooLong))));
        }
        // A file that was saved on Windows begins with a byte order mark.
        let mark: &[u8] = if self.number == 1 {
            b"\xef\xbb\xbf"
        } else {
            b""
        };
        let line = self.line.strip_prefix(mark).unwrap_or(&self.line);
        Ok(Some((self.number, Ok(line))))
    }

    /// Skips up to the next line; false if there was nothing to skip.
    fn skip_rest(&mut self) -> std::io::Result<bool> {
        Ok(self.input.skip_until(b'\n')? > 0)
    }
}

/// The answer to a line; none to an empty one.
fn answer(line: Line<'_>, number: u64) -> Option<Answer> {
    let Ok(line) = line else {
        let why = format!("longer than {} MiB", LONGEST >> 20);
        return Some(broken(Value::Null, number, &why));
    };
    if line.trim_ascii().is_empty() {
        return None;
    }
    Some(match read(line) {
        Ok(question) => {
            let reading = classify(&question.text, question.source_type.as_deref());
            Answer {
                id: question.id,
                cause: reading.shown_cause(),
                confidence: reading.confidence,
                rule: reading.rule,
                advice: reading.advice().by_hand,
                error: None,
            }
        }
        Err((id, why)) => broken(id, number, &why),
    })
}

/// The question in a line. Or its id, if that can be read, so that the caller finds the line, and what is wrong.
fn read(line: &[u8]) -> Result<Question, (Value, String)> {
    // serde also reads a list of the right values.
    let is_object = line.trim_ascii_start().starts_with(b"{");
    let error = match serde_json::from_slice::<Question>(line) {
        Ok(question) if is_object => return Ok(question),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let value: Option<Value> = serde_json::from_slice(line).ok();
    let why = match (&value, error) {
        _ if std::str::from_utf8(line).is_err() => "not UTF-8".to_owned(),
        (Some(value), _) => why(value),
        (None, Some(error)) if error.classify() != Category::Eof => {
            format!("not JSON, from column {}", error.column())
        }
        (None, _) => "not JSON: it ends too early".to_owned(),
    };
    let id = value.as_ref().and_then(|value| value.get("id")).cloned();
    Err((id.unwrap_or(Value::Null), why))
}

fn broken(id: Value, number: u64, why: &str) -> Answer {
    Answer {
        id,
        cause: RootCause::Unknown,
        confidence: Confidence::Low,
        rule: NO_RULE,
        advice: "Write the line as a JSON object with the fields id, text and, if known, sourceType.",
        error: Some(format!(
            "line {number} is {why}; expected is {{\"id\": …, \"text\": \"…\", \"sourceType\": \"…\"}}, where sourceType is optional"
        )),
    }
}

/// What is wrong with JSON that is not a question, without quoting it: the parser's own message quotes its input.
fn why(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return format!("not a JSON object but {}", kind(value));
    };
    let odd = ["text", "sourceType", "source_type"]
        .into_iter()
        .find_map(|name| {
            let value = object.get(name)?;
            let fits = value.is_string() || (value.is_null() && name != "text");
            (!fits).then(|| format!("wrong: its field {name} is {}, not a string", kind(value)))
        });
    match odd {
        Some(odd) => odd,
        None if !object.contains_key("text") => "without the field text".to_owned(),
        // A repeated field is the only remaining reason for which the parser refuses such an object.
        None => "ambiguous: one of its fields occurs twice".to_owned(),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(input: &[u8]) -> (Vec<Value>, ExitCode) {
        let mut output = Vec::new();
        let code = batch(input, &mut output).unwrap();
        let lines = String::from_utf8(output).unwrap();
        let lines = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (lines.collect(), code)
    }

    fn is_code(code: ExitCode, expected: u8) -> bool {
        format!("{code:?}") == format!("{:?}", ExitCode::from(expected))
    }

    #[test]
    fn the_error_of_a_broken_line_does_not_quote_the_line() {
        let cases: [(&[u8], &str); 12] = [
            (
                br#""postgres://u:hunter2@h""#,
                "not a JSON object but a string",
            ),
            (br#"[1, "hunter2"]"#, "not a JSON object but a list"),
            (br#"{"id": 7}"#, "without the field text"),
            (
                br#"{"id": 7, "text": null}"#,
                "its field text is null, not a string",
            ),
            (
                br#"{"id": 7, "text": {"hunter2": 1}}"#,
                "its field text is an object, not a string",
            ),
            (
                br#"{"id": 7, "text": ["hunter2"]}"#,
                "its field text is a list, not a string",
            ),
            (
                br#"{"id": 7, "text": "x", "sourceType": 5}"#,
                "its field sourceType is a number, not a string",
            ),
            (
                br#"{"id": 7, "text": "hunter2", "text": "y"}"#,
                "one of its fields occurs twice",
            ),
            (
                br#"{"id": 7, "text": "hunter2"#,
                "not JSON: it ends too early",
            ),
            (br#"{"id": 7, "text": hunter2}"#, "not JSON, from column 19"),
            (br"hunter2", "not JSON, from column 1"),
            (b"{\"id\": 7, \"text\": \"hunter2 \xff\"}", "not UTF-8"),
        ];
        for (line, says) in cases {
            let (answers, code) = run(line);
            let [answer] = answers.as_slice() else {
                panic!("{answers:?}");
            };
            let shown = answer.to_string();
            assert!(!shown.contains("hunter2"), "{shown}");
            let error = answer["error"].as_str().unwrap();
            assert!(
                error.starts_with("line 1 is ") && error.contains(&format!("{says};")),
                "{error}"
            );
            assert_eq!(answer["cause"], "Unknown");
            let readable =
                serde_json::from_slice::<Value>(line).is_ok_and(|value| value.is_object());
            assert_eq!(
                answer["id"],
                if readable { 7.into() } else { Value::Null },
                "{shown}"
            );
            assert!(is_code(code, 1));
        }
    }

    #[test]
    fn byte_order_marks_empty_lines_and_unknown_fields_are_not_errors() {
        let input = b"\xef\xbb\xbf{\"id\":7,\"text\":\"x\"}\r\n\n  \r\n{\"id\":\"c\",\"text\":\"Sync cancelled by user\",\"sourceType\":null,\"more\":1}";
        let (answers, code) = run(input);
        let said: Vec<_> = answers
            .iter()
            .map(|answer| (&answer["id"], &answer["cause"]))
            .collect();
        assert_eq!(
            said,
            [
                (&7.into(), &"Unknown".into()),
                (&"c".into(), &"OperatorAction".into())
            ]
        );
        assert!(answers.iter().all(|answer| answer.get("error").is_none()));
        assert!(is_code(code, 0));
    }

    #[test]
    fn a_line_that_is_too_long_does_not_affect_others() {
        let question = |length: usize| {
            let rest = r#"{"text":""}"#.len();
            format!("{{\"text\":\"{}\"}}", "x".repeat(length - rest))
        };
        let (fits, too_long) = (question(LONGEST), question(LONGEST + 1));
        let input = format!("{too_long}\n{{\"id\":2,\"text\":\"x\"}}\n{too_long}\n{fits}");
        let (answers, code) = run(input.as_bytes());
        let broken: Vec<_> = answers
            .iter()
            .map(|answer| answer.get("error").is_some())
            .collect();
        assert_eq!(broken, [true, false, true, false]);
        assert!(
            answers[2]["error"]
                .as_str()
                .unwrap()
                .starts_with("line 3 is longer than 16 MiB")
        );
        assert!(is_code(code, 1));
    }

    #[test]
    fn empty_input_gives_empty_output() {
        let (answers, code) = run(b"");
        assert!(answers.is_empty());
        assert!(is_code(code, 0));
    }
}
