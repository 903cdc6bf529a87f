//! `spec.selector`: which tables a policy watches.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::glob::{GlobError, Globs};

/// The tables that a policy watches. All given fields must match; of a list, one entry must match.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SelectorSpec {
    /// Limits by source. Absent: every source.
    #[serde(default)]
    pub sources: SourceSelector,
    /// Limits by table. Absent: every table of the selected sources.
    #[serde(default)]
    pub schemas: SchemaSelector,
}

/// Which sources. Fields combine with AND, the entries of one list with OR.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SourceSelector {
    /// Types as PostHog names them, for example Postgres or Stripe. Upper and lower case do not matter. Empty: every type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub types: Vec<String>,
    /// Prefixes of sources, matched exactly. Empty: every prefix.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 100)))]
    pub prefixes: Vec<String>,
    /// Ids of sources (UUIDs). Empty: every id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 64)))]
    pub ids: Vec<String>,
}

/// Which tables, by name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SchemaSelector {
    /// Globs on the table's name, for example `public.*`: `*` matches any text, `?` one character. Those that contain
    /// `?` or more than one `*` may have at most 1024 characters in total. Empty: every table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    #[x_kube(validation = Rule::new("self.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum() <= 1024")
        .message("the globs of include that contain ? or more than one * may have at most 1024 characters in total: use globs with one *, or several policies"))]
    pub include: Vec<String>,
    /// Globs of tables to exclude, even if `include` matches them. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 256), regex(pattern = r"^[^\[\]{}\\]+$"))
    )]
    #[x_kube(validation = Rule::new("self.filter(g, g.contains('?') || g.indexOf('*') != g.lastIndexOf('*')).map(g, g.size()).sum() <= 1024")
        .message("the globs of exclude that contain ? or more than one * may have at most 1024 characters in total: use globs with one *, or several policies"))]
    pub exclude: Vec<String>,
}

/// A compiled selector. The default selects everything.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    /// None for every source, as in most policies.
    sources: Option<Box<SourceSelector>>,
    include: Option<Globs>,
    exclude: Option<Globs>,
}

impl Selector {
    pub(super) fn new(
        sources: &SourceSelector,
        schemas: &SchemaSelector,
    ) -> Result<Self, GlobError> {
        let globs = |patterns: &[String]| {
            let some = !patterns.is_empty();
            some.then(|| Globs::new(patterns)).transpose()
        };
        let any_source = *sources == SourceSelector::default();
        Ok(Self {
            sources: (!any_source).then(|| Box::new(sources.clone())),
            include: globs(&schemas.include)?,
            exclude: globs(&schemas.exclude)?,
        })
    }

    /// True if sources of this type, prefix and id are selected.
    #[must_use]
    pub fn selects_source(&self, source_type: &str, prefix: &str, id: &str) -> bool {
        let Some(sources) = &self.sources else {
            return true;
        };
        let SourceSelector {
            types,
            prefixes,
            ids,
        } = &**sources;
        (types.is_empty() || types.iter().any(|t| t.eq_ignore_ascii_case(source_type)))
            && (prefixes.is_empty() || prefixes.iter().any(|p| p == prefix))
            && (ids.is_empty() || ids.iter().any(|i| i.eq_ignore_ascii_case(id)))
    }

    /// The same for a source of which only its title (type and prefix) and its id are known.
    #[must_use]
    pub fn selects_title(&self, title: &str, id: &str) -> bool {
        let (source_type, prefix) = title.split_once(' ').unwrap_or((title, ""));
        self.selects_source(source_type, prefix, id)
    }

    /// True if tables of this name are selected, in a selected source.
    #[must_use]
    pub fn selects_schema(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(name))
            && !self.exclude.as_ref().is_some_and(|set| set.is_match(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selector(include: &[&str], exclude: &[&str]) -> Selector {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        let schemas = SchemaSelector {
            include: own(include),
            exclude: own(exclude),
        };
        Selector::new(&SourceSelector::default(), &schemas).unwrap()
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        let all = selector(&[], &[]);
        assert!(all.selects_source("Stripe", "", "x") && all.selects_schema("public.orders"));
    }

    #[test]
    fn exclude_wins_over_include() {
        let some = selector(&["public.*"], &["*_tmp"]);
        assert!(some.selects_schema("public.orders"));
        assert!(!some.selects_schema("public.orders_tmp"));
        assert!(!some.selects_schema("audit.orders"));
    }

    #[test]
    fn lists_of_sources_combine_with_and() {
        let sources = SourceSelector {
            types: vec!["postgres".into()],
            prefixes: vec!["prod".into()],
            ids: Vec::new(),
        };
        let one = Selector::new(&sources, &SchemaSelector::default()).unwrap();
        assert!(one.selects_source("Postgres", "prod", "1"));
        assert!(
            !one.selects_source("Postgres", "prod2", "1"),
            "prefixes are exact"
        );
        assert!(!one.selects_source("Stripe", "prod", "1"));
    }
}
