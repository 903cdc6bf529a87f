//! The two text formats of metrics: OpenMetrics, and the older one of Prometheus for scrapers that do not ask for the new one.

use std::borrow::Cow;

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Text,
}

impl Format {
    /// The one to answer with, by the `Accept` header of a request.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Its `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// Puts OpenMetrics text into this format.
    #[must_use]
    pub fn of(self, openmetrics: String) -> String {
        match self {
            Self::OpenMetrics => openmetrics,
            Self::Text => as_text(&openmetrics),
        }
    }
}

/// The older format names a counter as its samples are named, knows neither units nor infos, and has no end.
fn as_text(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            ["#", "EOF"] | ["#", "UNIT", ..] => {}
            ["#", "HELP", _, said] => help = Some(*said),
            ["#", "TYPE", name, kind] => {
                let (name, kind) = older(name, kind);
                for line in [
                    help.take().map(|said| format!("# HELP {name} {said}\n")),
                    Some(format!("# TYPE {name} {kind}\n")),
                ] {
                    text.push_str(line.as_deref().unwrap_or_default());
                }
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

fn older<'a>(name: &'a str, kind: &'a str) -> (Cow<'a, str>, &'a str) {
    match kind {
        "counter" => (format!("{name}_total").into(), kind),
        "info" => (format!("{name}_info").into(), "gauge"),
        _ => (name.into(), kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_and_infos_as_their_samples_are_named() {
        let openmetrics = "# HELP a_b Some calls.\n# TYPE a_b counter\na_b_total{x=\"# UNIT\"} 1\n\
                           # HELP c_seconds Time.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 2.5\n\
                           # HELP v Version.\n# TYPE v info\nv_info{v=\"1\"} 1\n# EOF\n";
        assert_eq!(
            Format::Text.of(openmetrics.to_owned()),
            "# HELP a_b_total Some calls.\n# TYPE a_b_total counter\na_b_total{x=\"# UNIT\"} 1\n\
             # HELP c_seconds Time.\n# TYPE c_seconds gauge\nc_seconds 2.5\n\
             # HELP v_info Version.\n# TYPE v_info gauge\nv_info{v=\"1\"} 1\n"
        );
    }

    #[test]
    fn openmetrics_is_served_on_request() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(Format::accepted(""), Format::Text);
    }
}
