//! Approvals, denials and requests: the annotations by which people answer proposals.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::{APPROVE, DENY, MAX_TOKEN, REQUEST};

/// Longest user name or reason that is kept, in characters.
const MAX_VALUE: usize = 256;

/// The annotations that answer proposals or request one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    approvals: BTreeMap<String, String>,
    denials: BTreeMap<String, String>,
    requests: BTreeMap<String, String>,
}

impl Answers {
    /// Reads the annotations of an object.
    #[must_use]
    pub fn new(meta: &ObjectMeta) -> Self {
        let mut answers = Self::default();
        for (key, value) in meta.annotations.iter().flatten() {
            if let Some(id) = key.strip_prefix(APPROVE) {
                answers
                    .approvals
                    .insert(id.to_owned(), cut(value, MAX_VALUE));
            } else if let Some(id) = key.strip_prefix(DENY) {
                answers.denials.insert(id.to_owned(), cut(value, MAX_VALUE));
            } else if let Some(id) = key.strip_prefix(REQUEST) {
                answers
                    .requests
                    .insert(id.to_owned(), cut(value, MAX_TOKEN));
            }
        }
        answers
    }

    /// Who approves the proposal with this id, according to the annotation.
    #[must_use]
    pub fn approval(&self, id: &str) -> Option<&str> {
        self.approvals.get(id).map(String::as_str)
    }

    /// The reason of its denial.
    #[must_use]
    pub fn denial(&self, id: &str) -> Option<&str> {
        self.denials.get(id).map(String::as_str)
    }

    /// The requests, by id of the table.
    pub fn requests(&self) -> impl Iterator<Item = (&str, &str)> {
        let requests = self.requests.iter();
        requests.map(|(id, value)| (id.as_str(), value.as_str()))
    }
}

fn cut(value: &str, most: usize) -> String {
    value.chars().take(most).collect()
}
