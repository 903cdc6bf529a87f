//! Which path is which route, and its method and scope.

use crate::auth::Scope;

/// A path below `/api/projects/{project}/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// As in the path: a number, or `@current`, or anything.
    pub(crate) project: String,
    pub(crate) route: Route,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    Sources,
    Source(String),
    SourceAction(String, SourceAction),
    Schemas,
    Schema(String),
    SchemaAction(String, SchemaAction),
    Query,
    /// PostHog has it, the simulator does not.
    Foreign(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceAction {
    Jobs,
    Reload,
    WebhookInfo,
    CreateWebhook,
    UpdateWebhookInputs,
    DeleteWebhook,
    RefreshSchemas,
    BulkUpdateSchemas,
    RepairCdc,
    ResumeCdc,
    CdcStatus,
    CheckCdc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SchemaAction {
    Logs,
    Cancel,
    Reload,
    Resync,
    DeleteData,
    IncrementalFields,
}

/// The other routes of a source that PostHog has.
const FOREIGN_OF_SOURCE: [&str; 5] = [
    "enable_cdc",
    "disable_cdc",
    "update_cdc_settings",
    "destinations",
    "revenue_analytics_config",
];

impl Path {
    /// None for a path that PostHog does not have. The slash at the end is optional.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let path = path.strip_prefix("/api/projects/")?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        let (project, rest) = parts.split_first()?;
        Some(Self {
            project: (*project).to_owned(),
            route: route(rest)?,
        })
    }
}

fn route(parts: &[&str]) -> Option<Route> {
    let route = match *parts {
        ["external_data_sources"] => Route::Sources,
        [
            "external_data_sources",
            collection @ ("wizard" | "check_cdc_prerequisites" | "setup" | "database_schema"),
        ] => Route::Foreign(collection.to_owned()),
        ["external_data_sources", id] => Route::Source(id.to_owned()),
        ["external_data_sources", id, action] => match source_action(action) {
            Some(action) => Route::SourceAction(id.to_owned(), action),
            None if FOREIGN_OF_SOURCE.contains(&action) => Route::Foreign(action.to_owned()),
            None => return None,
        },
        ["external_data_schemas"] => Route::Schemas,
        ["external_data_schemas", id] => Route::Schema(id.to_owned()),
        ["external_data_schemas", _, "destinations"] => Route::Foreign("destinations".to_owned()),
        ["external_data_schemas", id, action] => {
            Route::SchemaAction(id.to_owned(), schema_action(action)?)
        }
        ["query"] => Route::Query,
        _ => return None,
    };
    Some(route)
}

fn source_action(name: &str) -> Option<SourceAction> {
    match name {
        "jobs" => Some(SourceAction::Jobs),
        "reload" => Some(SourceAction::Reload),
        "webhook_info" => Some(SourceAction::WebhookInfo),
        "create_webhook" => Some(SourceAction::CreateWebhook),
        "update_webhook_inputs" => Some(SourceAction::UpdateWebhookInputs),
        "delete_webhook" => Some(SourceAction::DeleteWebhook),
        "refresh_schemas" => Some(SourceAction::RefreshSchemas),
        "bulk_update_schemas" => Some(SourceAction::BulkUpdateSchemas),
        "repair_cdc" => Some(SourceAction::RepairCdc),
        "resume_cdc" => Some(SourceAction::ResumeCdc),
        "cdc_status" => Some(SourceAction::CdcStatus),
        "check_cdc_prerequisites_for_source" => Some(SourceAction::CheckCdc),
        _ => None,
    }
}

fn schema_action(name: &str) -> Option<SchemaAction> {
    match name {
        "logs" => Some(SchemaAction::Logs),
        "cancel" => Some(SchemaAction::Cancel),
        "reload" => Some(SchemaAction::Reload),
        "resync" => Some(SchemaAction::Resync),
        "delete_data" => Some(SchemaAction::DeleteData),
        "incremental_fields" => Some(SchemaAction::IncrementalFields),
        _ => None,
    }
}

impl Route {
    /// The methods it answers, each with the scope it needs.
    pub(crate) fn methods(&self) -> &'static [(&'static str, Scope)] {
        match self {
            Self::Sources => &[("GET", Scope::Read), ("POST", Scope::Write)],
            Self::Source(_) | Self::Schema(_) => &[
                ("GET", Scope::Read),
                ("PUT", Scope::Write),
                ("PATCH", Scope::Write),
                ("DELETE", Scope::Write),
            ],
            Self::Schemas
            | Self::SourceAction(
                _,
                SourceAction::Jobs | SourceAction::WebhookInfo | SourceAction::CdcStatus,
            )
            | Self::SchemaAction(_, SchemaAction::Logs) => &[("GET", Scope::Read)],
            Self::SchemaAction(_, SchemaAction::DeleteData) => &[("DELETE", Scope::Write)],
            Self::SourceAction(_, SourceAction::BulkUpdateSchemas) => &[("PATCH", Scope::Write)],
            Self::SourceAction(..) | Self::SchemaAction(..) => &[("POST", Scope::Write)],
            Self::Query => &[("POST", Scope::Query)],
            Self::Foreign(_) => &[
                ("GET", Scope::Read),
                ("POST", Scope::Read),
                ("PATCH", Scope::Read),
                ("DELETE", Scope::Read),
            ],
        }
    }
}
