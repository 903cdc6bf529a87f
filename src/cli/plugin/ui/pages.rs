//! Which address shows what.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware,
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures::{Stream, stream};
use jiff::Timestamp;

use super::{
    access::{self, Access},
    act::{Form, act},
    frame::Frame,
    live::{Live, Seen},
    overview::Overview,
    policy::{Notice, PolicyPage},
    rights::Rights,
};
use crate::posthog::visible;

/// Most bytes of a form. The longest has a reason of 256 characters.
const FORM: usize = 16 * 1024;
/// Shortest time between two notices of a change to one browser.
const BETWEEN: std::time::Duration = std::time::Duration::from_millis(300);

const STYLE: &str = include_str!("../../../../templates/ui/style.css");
const SCRIPT: &str = include_str!("../../../../templates/ui/page.js");
const ICON: &str = include_str!("../../../../templates/ui/icon.svg");

/// What pages need.
#[derive(Clone)]
pub(super) struct Ui {
    live: Arc<Live>,
    user: Arc<str>,
    /// Below which all pages are.
    path: Arc<str>,
}

impl Ui {
    fn frame(&self, seen: &Seen, now: Timestamp) -> Frame<'_> {
        Frame::new(seen, self.live.scope(), &self.user, &self.path, now)
    }
}

#[derive(Template)]
#[template(path = "ui/problem.html")]
struct Problem<'a> {
    frame: Frame<'a>,
    why: &'a str,
}

/// All pages, behind the checks of `access`.
pub(super) fn router(access: Arc<Access>, live: Arc<Live>, user: String) -> Router {
    let ui = Ui {
        live,
        user: user.into(),
        path: access.path().into(),
    };
    let pages = Router::new()
        .route("/", get(overview))
        .route("/policies/{namespace}/{name}", get(policy).post(answer))
        .route("/changes", get(changes))
        .route("/style.css", get(async || file("text/css", STYLE)))
        .route("/page.js", get(async || file("text/javascript", SCRIPT)))
        .route("/icon.svg", get(async || file("image/svg+xml", ICON)))
        .with_state(ui)
        .route(access::START, get(access::start).with_state(access.clone()));
    Router::new()
        .nest(access.path(), pages)
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn_with_state(access, access::guard))
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, format!("{kind}; charset=utf-8"))], content)
}

async fn overview(State(ui): State<Ui>) -> Response {
    let now = Timestamp::now();
    let seen = ui.live.seen();
    let seen = seen.borrow();
    page(
        StatusCode::OK,
        &Overview::new(ui.frame(&seen, now), &seen, now),
    )
}

async fn policy(State(ui): State<Ui>, Path((namespace, name)): Path<(String, String)>) -> Response {
    show(&ui, &namespace, &name, None).await
}

/// Does what a form asks for, and shows the page of the policy again.
async fn answer(
    State(ui): State<Ui>,
    Path((namespace, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let cluster = ui.live.cluster(&namespace);
    let notice = Notice::of(act(&cluster, &name, &Form::read(&body)).await);
    show(&ui, &namespace, &name, Some(notice)).await
}

/// The page of a policy, and the outcome of a request.
async fn show(ui: &Ui, namespace: &str, name: &str, notice: Option<Notice>) -> Response {
    let is_lost = ui.live.seen().borrow().lost.is_some();
    let rights = if is_lost {
        Rights::unknown("The API server cannot be read")
    } else {
        Rights::ask(&ui.live.cluster(namespace), name).await
    };
    let now = Timestamp::now();
    let seen = ui.live.seen();
    let seen = seen.borrow();
    let frame = ui.frame(&seen, now);
    let key = (namespace.to_owned(), name.to_owned());
    let found = seen.policies.as_ref().and_then(|all| all.get(&key));
    match found {
        Some(Ok(policy)) => {
            let code = notice.as_ref().map_or(StatusCode::OK, Notice::code);
            page(code, &PolicyPage::new(frame, policy, &rights, notice, now))
        }
        Some(Err(why)) => page(StatusCode::OK, &Problem { frame, why }),
        None => {
            let why = &format!("There is no policy {name} in namespace {namespace}.");
            page(StatusCode::NOT_FOUND, &Problem { frame, why })
        }
    }
}

/// Tells the browser when something has changed: the number of the change, and nothing else.
async fn changes(State(ui): State<Ui>) -> Sse<impl Stream<Item = Result<Event, axum::Error>>> {
    let seen = ui.live.seen();
    let next = |(mut seen, is_first): (tokio::sync::watch::Receiver<Seen>, bool)| async move {
        if !is_first {
            tokio::time::sleep(BETWEEN).await;
            seen.changed().await.ok()?;
        }
        let version = seen.borrow_and_update().version;
        let event = Event::default().data(version.to_string());
        Some((Ok(event), (seen, false)))
    };
    Sse::new(stream::unfold((seen, true), next)).keep_alive(KeepAlive::default())
}

/// The template, which escapes what is markup, with invisible characters escaped too.
fn page(code: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => {
            let shown = visible::lines(&html).replace('\u{1b}', "\\u{1b}");
            (code, Html(shown)).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
