//! The page can approve a deletion: what keeps other users, programs and websites from doing that.

use std::net::{TcpStream, UdpSocket};

use serde_json::json;
use warehouse_sync_operator::api::proposal::ProposedAction;

use super::{http::send, page::Page, support::Env};

/// Everything that the page has.
const PATHS: [&str; 6] = [
    "/",
    "/policies/a/b",
    "/changes",
    "/style.css",
    "/page.js",
    "/icon.svg",
];

#[test]
fn the_link_works_once_and_leads_to_an_address_without_its_token() {
    let env = Env::new();
    let page = Page::of(&env);
    let host = page.host();
    let token = page.link.split_once("token=").unwrap().1;
    assert_eq!(token.len(), 64);

    let open = |path: &str, cookie: &str| {
        send(
            page.port,
            "GET",
            path,
            &[("host", &host), ("cookie", cookie)],
            "",
        )
    };
    let wrong = page.at(&format!("/start?token={}", "0".repeat(64)));
    assert_eq!(open(&wrong, "").status, 403);
    let first = open(page.start_path(), "");
    let base = page.base.as_str();
    assert_eq!((first.status, first.header("location")), (303, Some(base)));
    let cookie = first.header("set-cookie").unwrap();
    // Browsers send it to other ports, too, but not for other paths.
    assert_eq!(base.len(), 65);
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        &format!("; Path={base};"),
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains(token) && !base.contains(token),
        "the cookie is another secret than the token"
    );

    let second = open(page.start_path(), "");
    assert_eq!((second.status, second.header("set-cookie")), (403, None));
    assert!(
        second.body.contains("Each link works once"),
        "{}",
        second.body
    );
    let same_browser = open(page.start_path(), cookie.split(';').next().unwrap());
    assert_eq!(
        (same_browser.status, same_browser.header("location")),
        (303, Some(base))
    );

    let other = Page::of(&env);
    assert_ne!(
        other.link.split_once("token=").unwrap().1,
        token,
        "each start has its own"
    );
}

#[test]
fn without_the_cookie_nothing_is_shown_and_nothing_is_done() {
    let env = Env::new();
    let page = Page::of(&env);
    let (host, origin) = (page.host(), format!("http://{}", page.host()));
    let cookie = page.open().cookie;
    let (name, value) = cookie.split_once('=').unwrap();
    let wrong = format!("{name}={}", "0".repeat(value.len()));
    for cookie in [
        "",
        &wrong,
        &format!("other={value}"),
        &format!("{name}="),
        &cookie[..cookie.len() - 1],
    ] {
        let headers = [
            ("host", host.as_str()),
            ("cookie", cookie),
            ("origin", &origin),
        ];
        for path in PATHS.map(|path| page.at(path)) {
            assert_eq!(
                send(page.port, "GET", &path, &headers, "").status,
                403,
                "{path} {cookie}"
            );
            assert_eq!(
                send(page.port, "POST", &path, &headers, "do=deny").status,
                403,
                "{path} {cookie}"
            );
        }
    }
}

#[test]
fn a_name_that_was_made_to_lead_here_is_refused() {
    let env = Env::new();
    let page = Page::of(&env);
    let cookie = page.open().cookie;
    let (own, port) = (page.host(), page.port);
    let get = |headers: &[(&str, &str)]| {
        let headers: Vec<_> = headers
            .iter()
            .copied()
            .chain([("cookie", cookie.as_str())])
            .collect();
        send(port, "GET", &page.base, &headers, "").status
    };
    assert_eq!(get(&[("host", &own)]), 200);
    let others = [
        format!("evil.example:{port}"),
        format!("localhost:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("{own}.evil.example"),
        format!("evil@{own}"),
        "127.0.0.1".to_owned(),
        "127.0.0.1:1".to_owned(),
        String::new(),
    ];
    for host in &others {
        assert_eq!(get(&[("host", host)]), 403, "{host}");
    }
    assert!(matches!(get(&[]), 400 | 403), "no host");
    assert_eq!(
        get(&[("host", &own), ("host", "evil.example")]),
        403,
        "two hosts"
    );
    let proxied = format!("http://evil.example:{port}{}", page.base);
    let headers = [("host", own.as_str()), ("cookie", &cookie)];
    assert_eq!(
        send(port, "GET", &proxied, &headers, "").status,
        403,
        "the whole address"
    );
    // The link, too: a page under another name must not receive the cookie.
    let start = send(
        port,
        "GET",
        page.start_path(),
        &[("host", "evil.example")],
        "",
    );
    assert_eq!((start.status, start.header("set-cookie")), (403, None));
}

#[test]
fn a_form_of_another_site_does_nothing() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    browser.wait_for(&path, &[&proposal.id]);
    let host = page.host();
    let body = format!("do=deny&id={}&reason=no", proposal.id);
    let origins = [
        "http://evil.example".to_owned(),
        "null".to_owned(),
        String::new(),
        format!("https://{host}"),
        format!("http://localhost:{}", page.port),
        "http://127.0.0.1:1".to_owned(),
        format!("http://{host}.evil.example"),
        format!("http://{host}/"),
    ];
    let own = format!("http://{host}");
    let always = [("host", host.as_str()), ("cookie", browser.cookie.as_str())];
    let post = |origins: &[&str]| {
        let origins = origins.iter().map(|origin| ("origin", *origin));
        let headers: Vec<_> = always.into_iter().chain(origins).collect();
        send(page.port, "POST", &page.at(&path), &headers, &body).status
    };
    for origin in &origins {
        assert_eq!(post(&[origin]), 403, "{origin}");
        // Nor is anything shown to it.
        let headers: Vec<_> = always
            .into_iter()
            .chain([("origin", origin.as_str())])
            .collect();
        assert_eq!(
            send(page.port, "GET", &page.base, &headers, "").status,
            403,
            "{origin}"
        );
    }
    assert_eq!(post(&[]), 403, "without an origin");
    assert_eq!(post(&[&own, "http://evil.example"]), 403, "two origins");
    let key = format!("deny.warehousesync.dev/{}", proposal.id);
    assert_eq!(env.annotation(&key), None);

    assert_eq!(post(&[&own]), 200, "the page's own form");
    assert_eq!(env.annotation(&key).as_deref(), Some("no"));
}

#[test]
fn nothing_changes_by_opening_an_address_and_no_address_carries_state() {
    let env = Env::new();
    let proposal = env.proposal(ProposedAction::RefreshSchemas, "orders");
    env.propose([&proposal]);
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    let html = browser.wait_for(&path, &[&proposal.id]);
    for link in html
        .split("href=\"")
        .skip(1)
        .chain(html.split("action=\"").skip(1))
    {
        let link = link.split('"').next().unwrap();
        assert!(
            !link.contains('?') && (link.starts_with('/') || link == "#main"),
            "{link}"
        );
    }
    let query = format!("{path}?do=deny&id={}&reason=no", proposal.id);
    assert_eq!(browser.get(&query).status, 400);
    assert_eq!(
        browser
            .post(
                &query,
                &[("do", "deny"), ("id", &proposal.id), ("reason", "no")]
            )
            .status,
        400
    );
    assert_eq!(
        env.annotation(&format!("deny.warehousesync.dev/{}", proposal.id)),
        None
    );
    // The answer to a form has the address of the page.
    let answer = browser.post(
        &path,
        &[("do", "deny"), ("id", &proposal.id), ("reason", "no")],
    );
    assert_eq!((answer.status, answer.header("location")), (200, None));
}

#[test]
fn every_answer_forbids_foreign_scripts_frames_and_readers() {
    let env = Env::new();
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    browser.wait_for(&path, &["Findings"]);
    let headers = [("host", "evil.example"), ("origin", "http://evil.example")];
    let answers = [
        browser.get("/"),
        browser.get(&path),
        browser.get("/policies/a/b"),
        browser.get("/nothing"),
        browser.get("/style.css"),
        browser.get("/page.js"),
        browser.get("/icon.svg"),
        browser.get("/start?token=0"),
        browser.post(&path, &[("do", "x")]),
        send(page.port, "GET", &page.base, &headers, ""),
        send(page.port, "OPTIONS", &page.base, &headers, ""),
    ];
    for answer in &answers {
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        for part in [
            "script-src 'self';",
            "style-src 'self';",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        for weak in ["unsafe", "http", "data:", "*"] {
            assert!(!policy.contains(weak), "{policy}");
        }
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let cors = answer
            .headers
            .iter()
            .find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(cors, None);
    }
    for html in [&answers[0].body, &answers[1].body, &answers[2].body] {
        // The policy forbids them, so they would not work: scripts and styles have files of their own.
        for inline in [
            "<script>",
            "<style",
            " style=",
            " onclick=",
            "javascript:",
            "=\"http",
            "=\"//",
        ] {
            assert!(!html.contains(inline), "{inline} in {html}");
        }
        assert_eq!(html.matches("<script").count(), 1);
    }
}

/// Texts that are markup, or hide what they are.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></main><form action=//evil.example>",
    "&lt;b&gt; {{ 7 * 7 }} {% raw %}",
    "safe\u{202e}txt.exe\u{200b}\u{1b}[2J",
];

#[test]
fn names_and_texts_from_a_status_are_shown_as_text() {
    let env = Env::new();
    let text = HOSTILE.concat();
    let mut proposal = env.proposal(ProposedAction::Resync, &text);
    proposal.reason.clone_from(&text);
    proposal.evidence = vec![text.clone()];
    proposal.impact.cost.clone_from(&text);
    proposal.target.source.clone_from(&text);
    env.put_status(&json!({
        "proposals": [proposal],
        "lastCheckedAt": "2026-11-23T06:00:00Z",
        "conditions": [{"type": "Healthy", "status": "False", "reason": "SyncsUnhealthy", "message": text,
            "lastTransitionTime": "2026-11-23T06:00:00Z"}],
        "findings": [{
            "source": text, "sourceId": text, "schema": text, "schemaId": text, "cause": "Stuck", "severity": "Error",
            "confidence": "High", "message": text, "rule": text, "evidence": [text], "advice": text, "nextAction": text,
            "affected": {"count": 2, "schemas": [text]},
        }],
        "incidents": [{
            "source": text, "sourceId": text, "schema": text, "schemaId": text, "cause": "Stuck", "step": "Reloading",
            "attempt": 1, "openedAt": "2026-11-23T06:00:00Z", "stepSince": "2026-11-23T06:00:00Z", "message": text,
        }],
        "nextAction": {"what": text, "blockedBy": text},
        "history": [{"at": "2026-11-23T06:00:00Z", "what": text}],
    }));
    let page = Page::of(&env);
    let browser = page.open();
    let path = format!("/policies/{}/prod", env.namespace);
    let policy = browser.wait_for(&path, &[&proposal.id]);
    let wrong = browser.post(&path, &[("do", &text)]);
    for html in [&policy, &browser.get("/").body, &wrong.body] {
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
        for markup in ["<script>", "<img", "onmouseover='", "<form action", "&lt;b"] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
        for hidden in ['\u{202e}', '\u{200b}', '\u{1b}'] {
            assert!(!html.contains(hidden), "{hidden:?}");
        }
        assert_eq!(html.matches("</main>").count(), 1);
    }
    // Not in an attribute, either.
    assert!(policy.contains("&#34;&#62;&#60;img"), "{policy}");
    // Names in addresses come from the author of the link.
    let odd = browser.get("/policies/%3Cscript%3E/%22%3E%3Cimg%20src=x%3E");
    assert_eq!(odd.status, 404);
    assert!(
        !odd.body.contains("<script>") && !odd.body.contains("<img"),
        "{}",
        odd.body
    );
}

#[test]
fn it_listens_on_127_0_0_1_only() {
    let env = Env::new();
    let page = Page::of(&env);
    assert!(TcpStream::connect(("127.0.0.1", page.port)).is_ok());
    assert!(TcpStream::connect(("127.0.0.2", page.port)).is_err());
    // Nothing is sent: this asks only for the route.
    let route = UdpSocket::bind("0.0.0.0:0").unwrap();
    route.connect("192.0.2.1:9").unwrap();
    let own = route.local_addr().unwrap().ip();
    assert!(
        own.is_loopback() || TcpStream::connect((own, page.port)).is_err(),
        "{own}"
    );
}
