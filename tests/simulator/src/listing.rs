//! Lists: query parameters and pages, as the framework behind PostHog has them.

use jiff::{Timestamp, civil::DateTime};
use serde_json::{Value, json};

use crate::http;
use crate::message::{Request, Response};

const DEFAULT_LIMIT: usize = 100;

/// `limit` and `offset`, and what is needed to write `next`.
pub(crate) struct Page {
    limit: usize,
    offset: usize,
    path: String,
    query: String,
}

impl Page {
    /// What cannot be read falls back to the default, as it does at PostHog: a bad `limit` is no error.
    pub(crate) fn of(request: &Request, base: &str) -> Self {
        let number = |name| {
            request
                .parameter(name)
                .and_then(|text| text.parse::<usize>().ok())
        };
        Self {
            limit: number("limit")
                .filter(|limit| *limit > 0)
                .unwrap_or(DEFAULT_LIMIT),
            offset: number("offset").unwrap_or(0),
            path: format!("{base}{}", request.path()),
            query: request.query().to_owned(),
        }
    }

    /// Which of the whole list this page is.
    pub(crate) fn range(&self, count: usize) -> std::ops::Range<usize> {
        let start = self.offset.min(count);
        start..start.saturating_add(self.limit).min(count)
    }

    /// The page of a list that is there as a whole.
    pub(crate) fn answer(&self, rows: Vec<Value>) -> Response {
        let count = rows.len();
        let range = self.range(count);
        let kept = rows
            .into_iter()
            .skip(range.start)
            .take(range.len())
            .collect();
        self.answer_part(count, &Value::Array(kept))
    }

    /// A page whose rows the caller has picked by [`Page::range`].
    pub(crate) fn answer_part(&self, count: usize, rows: &Value) -> Response {
        let after = self.offset.saturating_add(self.limit);
        let next = (after < count).then(|| self.address(after));
        let previous =
            (self.offset > 0).then(|| self.address(self.offset.saturating_sub(self.limit)));
        Response::json(
            200,
            &json!({"count": count, "next": next, "previous": previous, "results": rows}),
        )
    }

    fn address(&self, offset: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let kept = form_urlencoded::parse(self.query.as_bytes());
        query.extend_pairs(kept.filter(|(name, _)| name != "limit" && name != "offset"));
        query.append_pair("limit", &self.limit.to_string());
        if offset > 0 {
            query.append_pair("offset", &offset.to_string());
        }
        format!("{}?{}", self.path, query.finish())
    }
}

pub(crate) fn number_parameter(
    request: &Request,
    name: &str,
    default: usize,
) -> Result<usize, Response> {
    request.parameter(name).map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| http::validation(Some(name), "A valid integer is required."))
    })
}

/// A time with its zone, or without one, which is then UTC.
pub(crate) fn time_parameter(request: &Request, name: &str) -> Result<Option<Timestamp>, ()> {
    let Some(text) = request.parameter(name) else {
        return Ok(None);
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(Some(at));
    }
    let civil: DateTime = text.parse().map_err(|_| ())?;
    civil
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map(|zoned| Some(zoned.timestamp()))
        .map_err(|_| ())
}

/// Every word of `search` must be in one of the fields.
pub(crate) fn found(search: Option<&str>, fields: &[&str]) -> bool {
    search.is_none_or(|search| {
        search
            .split([' ', ','])
            .filter(|word| !word.is_empty())
            .all(|word| {
                let word = word.to_lowercase();
                fields
                    .iter()
                    .any(|field| field.to_lowercase().contains(&word))
            })
    })
}
