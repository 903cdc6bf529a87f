//! The last to be asked: signs that say little.

use crate::{
    api::status::RootCause::{SourceConfig, TableMissing, Unknown},
    diagnose::classify::rule::{
        Rule,
        When::{All, Any, Http},
    },
};

/// Asked last.
pub const RULES: &[Rule] = &[
    Rule::sign(
        "http/404-object",
        TableMissing,
        &[
            Http(&[404]),
            Any(&[
                "sheet*",
                "report*",
                "spreadsheet*",
                "sobject*",
                "collection",
                "table",
            ]),
        ],
        "APIError: [404]: spreadsheet gone",
        (
            "404 Client Error: Not Found for url: https://api.example.com/v1/x",
            Unknown,
        ),
    ),
    Rule::sign(
        "http/404-account",
        SourceConfig,
        &[
            All(&["http:404"]),
            Any(&[
                "account*",
                "project*",
                "workspace*",
                "organization*",
                "organisation*",
                "subdomain*",
                "host",
                "shop",
                "store",
                "tenant*",
                "instance",
            ]),
        ],
        "HTTP 404: the account is not known here",
        (
            "404 Client Error: Not Found for url: https://api.example.com/v1/x",
            Unknown,
        ),
    ),
];
