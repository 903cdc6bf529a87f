//! The reading calls, and the one function through which every call goes.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;

use super::{
    ApiKey, PostHogError, Transport,
    bounds::Bounds,
    id::Id,
    instance::{Feature, Noted, UnfamiliarKind},
    lax::{Lax, segment},
    offload::offload,
    probe::{
        CdcCheck, CdcPrerequisites, CdcStatus, IncrementalFields, QueryAnswer, SchemaDetail,
        WebhookInfo,
    },
    quota::{KeyLimits, Purpose, Quota, Share, Usage},
    redact,
    secrets::Secrets,
    transport::{Method, Request, Response, TransportError},
    webhook_fields::WebhookFields,
    wire::{CLOCKS_AGREE, ErrorBody, Job, LogPage, Page, Schema, Source},
};
use crate::api::validated::Project;

/// Sources asked for in one request. `PostHog` sends all tables of each.
pub const PAGE_SIZE: usize = 100;
/// Pages read at most: a list that never ends must not block a poll forever.
const MAX_PAGES: usize = 100;
/// Lines of a table's log asked for at once: the most that `PostHog` gives.
pub const LOG_LINES: usize = 500;

/// Which lines of a table's log are wanted; all of them by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogFilter<'a> {
    /// Only those of this run.
    pub run_id: Option<&'a str>,
    /// Only those written after this time, by `PostHog`'s clock.
    pub after: Option<Timestamp>,
    /// Only those with this text in their message.
    pub search: Option<&'a str>,
}

impl LogFilter<'_> {
    fn query(&self) -> String {
        let Self {
            run_id,
            after,
            search,
        } = self;
        let after = after.map(|at| at.to_string());
        let mut query = form_urlencoded::Serializer::new(format!("limit={LOG_LINES}"));
        for (name, value) in [
            ("instance_id", *run_id),
            ("after", after.as_deref()),
            ("search", *search),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.finish()
    }
}

/// Deadline of a call that `PostHog` answers from its own database.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// Deadline of a call for which `PostHog` asks the customer's source; its gateway gives up after about 120 s.
pub const LIVE_DEADLINE: Duration = Duration::from_secs(130);

/// From how many bytes on a body takes milliseconds to decode.
const LARGE_BODY: usize = 1024 * 1024;
/// Largest answer of any other call.
pub const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// What `PostHog` says of a path that it does not have.
const NO_ENDPOINT: &str = "Endpoint not found.";

/// The call that has limits of its own.
const QUERY: &str = "query";

/// Wait after a 429 that does not say how long.
const DEFAULT_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// Holds back calls with one key after `PostHog` answered 429, and when the operator's own share is used up: the limits are per
/// key. Queries have limits of their own, and must not hold back what a repair needs. By default the share is all.
#[derive(Debug, Default)]
pub struct KeyGate {
    calls: Gate,
    queries: Gate,
    /// `PostHog` allows few queries at once, and answers 429 without `Retry-After` to one too many.
    one_query: tokio::sync::Mutex<()>,
}

impl KeyGate {
    /// A gate that lets so much pass.
    #[must_use]
    pub fn sharing(share: Share) -> Self {
        let gate = |limits| Gate {
            closed: Mutex::default(),
            quota: Some(Mutex::new(Quota::new(share, limits))),
        };
        Self {
            calls: gate(KeyLimits::CALLS),
            queries: gate(KeyLimits::QUERIES),
            one_query: tokio::sync::Mutex::default(),
        }
    }

    /// Whether the share has room for this many calls at once.
    pub fn has_room(&self, purpose: Purpose, calls: usize, now: Timestamp) -> bool {
        self.calls
            .quota()
            .is_none_or(|mut quota| quota.room(purpose, calls, now).is_ok())
    }

    /// How long to wait before this many more calls, so that the share lasts.
    pub fn pace(&self, purpose: Purpose, calls: usize, now: Timestamp) -> SignedDuration {
        self.calls
            .quota()
            .map_or(SignedDuration::ZERO, |mut quota| {
                quota.pace(purpose, calls, now)
            })
    }

    /// How much of the shares is used.
    #[must_use]
    pub fn usage(&self, now: Timestamp) -> Vec<Usage> {
        [("calls", &self.calls), ("queries", &self.queries)]
            .into_iter()
            .filter_map(|(limit, gate)| Some(gate.quota()?.usage(limit, now)))
            .flatten()
            .collect()
    }

    fn of(&self, call: &str) -> &Gate {
        if call == QUERY {
            &self.queries
        } else {
            &self.calls
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<Option<Timestamp>>,
    quota: Option<Mutex<Quota>>,
}

impl Gate {
    /// Lets one call pass, or says why it has to wait.
    fn pass(&self, call: &'static str, now: Timestamp) -> Result<(), PostHogError> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = closed.filter(|until| *until > now) {
            return Err(PostHogError::Waiting { call, until });
        }
        match self.quota() {
            Some(mut quota) => {
                (quota.take(now)).map_err(|until| PostHogError::OverShare { call, until })
            }
            None => Ok(()),
        }
    }

    fn close(&self, until: Timestamp) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = (*closed).max(Some(until));
    }

    fn quota(&self) -> Option<MutexGuard<'_, Quota>> {
        let quota = self.quota.as_ref()?;
        Some(quota.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A project, a key, and how to reach them, for one reconcile.
pub struct Client<T> {
    transport: Arc<T>,
    project: Project,
    key: ApiKey,
    gate: Arc<KeyGate>,
    clock: Clock,
    sent: AtomicUsize,
    noted: Noted,
    secrets: Arc<Secrets>,
}

impl<T> Client<T> {
    /// What is known of the instance.
    pub const fn noted(&self) -> &Noted {
        &self.noted
    }
}

/// Tells the time. Handed down from the controller, which alone may ask a clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl<T: Transport> Client<T> {
    /// A client that asks `clock` for the time.
    pub fn new(
        transport: Arc<T>,
        project: Project,
        key: ApiKey,
        gate: Arc<KeyGate>,
        clock: Clock,
    ) -> Self {
        let client = Self {
            transport,
            project,
            key,
            gate,
            clock,
            sent: AtomicUsize::new(0),
            noted: Noted::default(),
            secrets: Arc::default(),
        };
        client.hiding(Arc::default())
    }

    /// The same, masking in every text these values and its own key.
    #[must_use]
    pub fn hiding(self, secrets: Arc<Secrets>) -> Self {
        self.key.hide(&secrets);
        Self { secrets, ..self }
    }

    /// The values that no text may show.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The same, recording what the instance shows in `noted`.
    #[must_use]
    pub fn noting(self, noted: Noted) -> Self {
        Self { noted, ..self }
    }

    /// How many requests it has sent.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The page of the list of sources that begins at `offset`.
    async fn page(
        &self,
        call: &'static str,
        offset: usize,
        bounds: Bounds,
    ) -> Result<Page<Source>, PostHogError> {
        let path = self.path(&format!(
            "external_data_sources/?limit={PAGE_SIZE}&offset={offset}"
        ));
        let request = Request {
            max_body: bounds.page,
            ..get(call, path)
        };
        self.decode(call, &self.send(request).await?)
    }

    /// Every source with its tables, unless they are more than `bounds` allows. Pages are requested by offset: `next` is never followed, because it
    /// could point anywhere. If it names a page after the last one, that is requested by offset, too.
    pub async fn sources(&self, bounds: Bounds) -> Result<Vec<Source>, PostHogError> {
        const CALL: &str = "list sources";
        let mut sources: Vec<Source> = Vec::new();
        let mut seen = HashSet::new();
        for page_number in 0..MAX_PAGES {
            let offset = page_number * PAGE_SIZE;
            let mut page = self.page(CALL, offset, bounds).await?;
            // Lists are kept until the next poll; a list that grew while it was read has room to spare.
            for source in &mut page.results {
                source.schemas.shrink_to_fit();
                self.clean(source);
            }
            let (got, count) = (page.results.len(), page.count);
            let is_last = matches!(page.next, Lax::Null | Lax::Missing);
            // A source that was created between two pages moves the others to the next page, where they would appear twice.
            sources.extend(
                page.results
                    .into_iter()
                    .filter(|source| seen.insert(source.id.clone())),
            );
            let wanted = usize::try_from(count).unwrap_or(usize::MAX);
            let tables: usize = sources.iter().map(|source| source.schemas.len()).sum();
            if tables > bounds.tables {
                let (read, most) = (sources.len(), bounds.tables);
                let found = format!(
                    "the first {read} of {count} sources of the project have {tables} tables; the limit is {most} (--max-tables-per-project)"
                );
                return Err(PostHogError::TooLarge { call: CALL, found });
            }
            if got == 0 || offset + got >= wanted {
                return if sources.len() < wanted {
                    Err(unexpected(
                        CALL,
                        format!(
                            "PostHog returned {} of {count} sources: the list changed while it was read",
                            sources.len()
                        ),
                    ))
                } else if !is_last
                    && !self
                        .page(CALL, offset + got, bounds)
                        .await?
                        .results
                        .is_empty()
                {
                    let reason = format!(
                        "PostHog counts {count} sources, and has more of them on a next page"
                    );
                    Err(unexpected(CALL, reason))
                } else if let Some(id) = listed_twice(&sources) {
                    let reason = format!(
                        "PostHog lists the table {id} twice, so it is unknown which row is right"
                    );
                    Err(unexpected(CALL, reason))
                } else {
                    Ok(sources)
                };
            }
            if got != PAGE_SIZE {
                return Err(unexpected(
                    CALL,
                    format!(
                        "a page has {got} sources instead of {PAGE_SIZE}, although more remain"
                    ),
                ));
            }
        }
        Err(unexpected(
            CALL,
            format!(
                "the list does not end after {} sources",
                MAX_PAGES * PAGE_SIZE
            ),
        ))
    }

    /// The newest runs of a table, at most 50. `PostHog` filters by name; the caller keeps only those with the table's id. An error
    /// too if the clocks of the two sides differ: how long a run has not moved would be unknown. Beside them, whether `PostHog`
    /// dated its answer: if not, the clocks may still differ.
    pub async fn jobs(
        &self,
        source_id: &str,
        schema_name: &str,
    ) -> Result<(Vec<Job>, bool), PostHogError> {
        const CALL: &str = "list jobs";
        let name: String = form_urlencoded::byte_serialize(schema_name.as_bytes()).collect();
        let path = self.path(&format!(
            "external_data_sources/{}/jobs/?schemas={name}",
            segment(source_id)
        ));
        let response = self.send(get(CALL, path)).await?;
        clocks_agree(CALL, response.date, self.now())?;
        let jobs = self.cleaned(self.decode(CALL, &response)?);
        Ok((jobs, response.date.is_some()))
    }

    /// The newest runs of all tables of a source that began before a time, at most 50, newest first.
    pub async fn jobs_of_source(
        &self,
        source_id: &str,
        before: Timestamp,
    ) -> Result<Vec<Job>, PostHogError> {
        let rest = format!(
            "external_data_sources/{}/jobs/?before={before}",
            segment(source_id)
        );
        let jobs = self.read_dated("list jobs", &rest).await?;
        Ok(self.cleaned(jobs))
    }

    /// Without times to come, and without secrets in their texts.
    fn cleaned(&self, mut jobs: Vec<Job>) -> Vec<Job> {
        let now = self.now();
        for job in &mut jobs {
            job.forget_times_to_come(now);
            self.conceal(&mut job.latest_error);
        }
        jobs
    }

    fn clean(&self, source: &mut Source) {
        for schema in &mut source.schemas {
            self.clean_row(schema);
        }
    }

    fn clean_row(&self, schema: &mut Schema) {
        schema.forget_times_to_come(self.now());
        self.conceal(&mut schema.latest_error);
    }

    fn conceal(&self, text: &mut Lax<String>) {
        if let Lax::Is(text) = text
            && let Cow::Owned(masked) = self.secrets.conceal(text)
        {
            *text = masked;
        }
    }

    /// The newest [`LOG_LINES`] lines of a table's log that `filter` lets through.
    pub async fn logs(
        &self,
        schema_id: &str,
        filter: LogFilter<'_>,
    ) -> Result<LogPage, PostHogError> {
        const CALL: &str = "read log";
        let query = filter.query();
        let path = self.path(&format!(
            "external_data_schemas/{}/logs/?{query}",
            segment(schema_id)
        ));
        let mut page: LogPage = self.decode(CALL, &self.send(get(CALL, path)).await?)?;
        for line in &mut page.results {
            self.conceal(&mut line.message);
        }
        Ok(page)
    }

    /// One source with its tables. Seconds on a large project: `PostHog` builds its whole database for it.
    pub async fn source(&self, source_id: &str) -> Result<Source, PostHogError> {
        let rest = format!("external_data_sources/{}/", segment(source_id));
        let mut source: Source = self.read_dated("read source", &rest).await?;
        self.clean(&mut source);
        Ok(source)
    }

    /// A page of the tables of all sources, from `offset`. The rows do not say which source they are of, and each costs
    /// `PostHog` more than in [`Client::sources`].
    pub async fn schemas(&self, offset: usize) -> Result<Page<SchemaDetail>, PostHogError> {
        let rest = format!("external_data_schemas/?limit={PAGE_SIZE}&offset={offset}");
        self.read("list tables", &rest).await
    }

    /// One table as it is now.
    pub async fn schema(&self, schema_id: &str) -> Result<SchemaDetail, PostHogError> {
        let rest = format!("external_data_schemas/{}/", segment(schema_id));
        let mut detail: SchemaDetail = self.read_dated("read table", &rest).await?;
        self.clean_row(&mut detail.row);
        Ok(detail)
    }

    /// Asks `PostHog` to look at the table in the customer's source. Changes nothing, yet needs the write scope, which
    /// makes it the way to find out whether the key has it.
    pub async fn incremental_fields(
        &self,
        schema_id: &str,
    ) -> Result<IncrementalFields, PostHogError> {
        let path = format!(
            "external_data_schemas/{}/incremental_fields/",
            segment(schema_id)
        );
        self.ask("read incremental fields", &path, None).await
    }

    /// What the webhook of each type of source needs.
    pub async fn webhook_fields(&self) -> Result<WebhookFields, PostHogError> {
        let path = "external_data_sources/wizard/";
        self.read("read source types", path).await
    }

    /// How the webhook of a source stands. `PostHog` asks the vendor.
    pub async fn webhook_info(&self, source_id: &str) -> Result<WebhookInfo, PostHogError> {
        let path = format!("external_data_sources/{}/webhook_info/", segment(source_id));
        let mut info: WebhookInfo = self.read_live("read webhook", &path).await?;
        if let Some(external) = &mut info.external_status {
            self.conceal(&mut external.error);
            self.conceal(&mut external.status);
        }
        Ok(info)
    }

    /// How change data capture of a source stands. `PostHog` asks the database; 400 if it cannot be reached.
    pub async fn cdc_status(&self, source_id: &str) -> Result<CdcStatus, PostHogError> {
        let path = format!("external_data_sources/{}/cdc_status/", segment(source_id));
        self.read_live("read CDC status", &path).await
    }

    /// What a database lacks for change data capture. Changes nothing, yet needs the write scope; 400 if the database cannot
    /// be reached.
    pub async fn cdc_prerequisites(
        &self,
        source_id: &str,
        check: &CdcCheck,
    ) -> Result<CdcPrerequisites, PostHogError> {
        let path = format!(
            "external_data_sources/{}/check_cdc_prerequisites_for_source/",
            segment(source_id)
        );
        let body = serde_json::json!(check).to_string();
        let mut check: CdcPrerequisites = self
            .ask("check CDC prerequisites", &path, Some(body))
            .await?;
        for error in &mut check.errors {
            *error = self.secrets.conceal(error).into_owned();
        }
        Ok(check)
    }

    /// Runs a query of `PostHog`'s SQL. Needs the scope `query:read` and has limits of its own.
    pub async fn query(&self, sql: &str) -> Result<QueryAnswer, PostHogError> {
        let body = serde_json::json!({"query": {"kind": "HogQLQuery", "query": sql}});
        let _alone = self.gate.one_query.lock().await;
        let answer = self.ask(QUERY, "query/", Some(body.to_string())).await;
        let shows = match &answer {
            Ok(_) | Err(PostHogError::Refused { status: 400, .. }) => Some(true),
            Err(PostHogError::Refused {
                status: 403 | 404, ..
            }) => Some(false),
            Err(_) => None,
        };
        if let Some(shows) = shows {
            self.noted
                .note(|instance| instance.note(Feature::Queries, shows));
        }
        answer
    }

    /// Whether runs can be cancelled here; none if that is unknown. A GET cancels nothing: where the action exists, it is
    /// refused for its method (403 for a key, which an unknown action is not asked a scope for); where it does not, 404.
    pub async fn has_cancel(&self, schema_id: &str) -> Option<bool> {
        const CALL: &str = "check for cancel";
        let path = self.path(&format!(
            "external_data_schemas/{}/cancel/",
            segment(schema_id)
        ));
        let error = self.send(get(CALL, path)).await.err()?;
        let shows = match &error {
            PostHogError::Refused { status: 405, .. } => true,
            error if error.is_closed_to_keys() => true,
            PostHogError::Refused {
                status: 404,
                detail,
                ..
            } if detail == NO_ENDPOINT => false,
            _ => return None,
        };
        self.noted
            .note(|instance| instance.note(Feature::Cancel, shows));
        Some(shows)
    }

    /// GET that `PostHog` answers from its own database.
    async fn read<A: DeserializeOwned>(
        &self,
        call: &'static str,
        rest: &str,
    ) -> Result<A, PostHogError> {
        self.decode(call, &self.send(get(call, self.path(rest))).await?)
    }

    /// The same, for times that are compared with the current time; also an error if the clocks of the two sides differ.
    async fn read_dated<A: DeserializeOwned>(
        &self,
        call: &'static str,
        rest: &str,
    ) -> Result<A, PostHogError> {
        let response = self.send(get(call, self.path(rest))).await?;
        clocks_agree(call, response.date, self.now())?;
        self.decode(call, &response)
    }

    /// GET for which `PostHog` asks the source or its vendor.
    async fn read_live<A: DeserializeOwned>(
        &self,
        call: &'static str,
        rest: &str,
    ) -> Result<A, PostHogError> {
        let request = Request {
            deadline: LIVE_DEADLINE,
            ..get(call, self.path(rest))
        };
        self.decode(call, &self.send(request).await?)
    }

    /// POST that only reads, for which `PostHog` asks the source or its vendor.
    async fn ask<A: DeserializeOwned>(
        &self,
        call: &'static str,
        rest: &str,
        body: Option<String>,
    ) -> Result<A, PostHogError> {
        let request = Request {
            method: Method::Post,
            deadline: LIVE_DEADLINE,
            body,
            ..get(call, self.path(rest))
        };
        self.decode(call, &self.send(request).await?)
    }

    /// The path of `rest` below the project.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/projects/{}/{rest}", self.project.id)
    }

    /// Sends one request, once. The only way out of this process to `PostHog`; a test allows its use only in this folder
    /// and in `execute/calls.rs`.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, PostHogError> {
        let call = request.call;
        self.gate.of(call).pass(call, self.now())?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let host = self.project.host.as_str().to_owned();
        let most = request.max_body;
        let response = match self
            .transport
            .send(&self.project.host, &self.key, request)
            .await
        {
            Ok(response) => response,
            Err(TransportError::NotSent(reason)) => {
                return Err(PostHogError::NotSent { call, host, reason });
            }
            Err(TransportError::NoAnswer(reason)) => {
                return Err(PostHogError::NoAnswer { call, host, reason });
            }
            Err(TransportError::TooLarge) => {
                let found = format!(
                    "the response exceeds the limit of {} MiB",
                    most / (1024 * 1024)
                );
                return Err(PostHogError::TooLarge { call, found });
            }
        };
        match response.status {
            200..=299 => Ok(response),
            429 => {
                let wait = response
                    .retry_after
                    .and_then(|w| SignedDuration::try_from(w).ok())
                    .unwrap_or(DEFAULT_WAIT);
                if let Ok(until) = self.now().checked_add(wait) {
                    self.gate.of(call).close(until);
                }
                Err(PostHogError::RateLimited { call, wait })
            }
            300..=399 => Err(unexpected(
                call,
                format!(
                    "{} redirects ({}): check that it is PostHog's own address",
                    host, response.status
                ),
            )),
            status => {
                let said = self.said(&response);
                if said.is_none() && !response.body.is_empty() {
                    let shape = format!("{status} with {}", shown_type(&response));
                    self.noted
                        .note(|instance| instance.meets(UnfamiliarKind::ErrorShape, &shape));
                }
                Err(PostHogError::Refused {
                    call,
                    status,
                    detail: said.unwrap_or_else(|| unreadable(&response)),
                })
            }
        }
    }

    /// The sentence in an error body, in any of `PostHog`'s shapes.
    fn said(&self, response: &Response) -> Option<String> {
        let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
        let text = body.and_then(ErrorBody::text)?;
        Some(redact::text(&self.secrets.conceal(&text), 300))
    }

    /// Reads the body of a successful answer.
    fn decode<A: DeserializeOwned>(
        &self,
        call: &'static str,
        response: &Response,
    ) -> Result<A, PostHogError> {
        decode(call, response).map_err(|error| {
            self.noted
                .note(|instance| instance.meets(UnfamiliarKind::Answer, call));
            match error {
                PostHogError::Unexpected { call, reason } => {
                    unexpected(call, self.secrets.conceal(&reason).into_owned())
                }
                error => error,
            }
        })
    }
}

/// The id of a table that stands in the list twice, if one does.
fn listed_twice(sources: &[Source]) -> Option<&Id> {
    let mut ids: Vec<&Id> = sources
        .iter()
        .flat_map(|source| source.schemas.iter().map(|schema| &schema.id))
        .collect();
    ids.sort_unstable();
    ids.windows(2)
        .find(|two| two[0] == two[1])
        .map(|two| two[0])
}

/// Fails if this machine's clock and the one that dated an answer are too far apart. An answer without a date passes.
fn clocks_agree(
    call: &'static str,
    date: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), PostHogError> {
    let Some(date) = date.filter(|date| now.duration_since(*date).abs() > CLOCKS_AGREE) else {
        return Ok(());
    };
    let apart = format!(
        "the clocks disagree: {now:.0} here, {date} at PostHog. Until that is fixed, it is unknown how long a run has been silent"
    );
    Err(unexpected(call, apart))
}

const fn get(call: &'static str, path: String) -> Request {
    Request {
        call,
        method: Method::Get,
        path,
        deadline: DEADLINE,
        until: None,
        max_body: MAX_ANSWER,
        body: None,
    }
}

fn unexpected(call: &'static str, reason: String) -> PostHogError {
    PostHogError::Unexpected { call, reason }
}

/// What an error body is that has no sentence.
fn unreadable(response: &Response) -> String {
    if response.body.is_empty() {
        "without an error text".to_owned()
    } else {
        format!(
            "with a body that is not PostHog's ({})",
            shown_type(response)
        )
    }
}

/// Reads the body of a successful answer.
pub(crate) fn decode<A: DeserializeOwned>(
    call: &'static str,
    response: &Response,
) -> Result<A, PostHogError> {
    let read = || serde_json::from_slice(&response.body);
    let decoded = if response.body.len() < LARGE_BODY {
        read()
    } else {
        offload(read)
    };
    decoded.map_err(|error| {
        let what = if response.body.is_empty() {
            "an empty body".to_owned()
        } else if error.is_eof() {
            "an incomplete body".to_owned()
        } else {
            format!(
                "{}: {}",
                shown_type(response),
                redact::text(&error.to_string(), 120)
            )
        };
        unexpected(
            call,
            format!("the response is not PostHog's JSON but {what}"),
        )
    })
}

fn shown_type(response: &Response) -> String {
    if response.content_type.is_empty() {
        "no content type".into()
    } else {
        redact::one_line(&response.content_type, 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_five_minutes_and_an_answer_without_a_date_passes() {
        let now: Timestamp = "2026-10-01T12:00:00Z".parse().unwrap();
        let agree = |date: Option<&str>| {
            let date = date.map(|date| date.parse().unwrap());
            clocks_agree("list jobs", date, now)
        };
        for date in ["2026-10-01T12:05:00Z", "2026-10-01T11:55:00Z"] {
            assert_eq!(agree(Some(date)), Ok(()));
        }
        assert_eq!(agree(None), Ok(()));
        for date in ["2026-10-01T12:05:01Z", "2026-10-01T11:54:59Z"] {
            let said = agree(Some(date)).unwrap_err().to_string();
            assert!(said.contains("12:00:00") && said.contains(date), "{said}");
        }
    }
}
