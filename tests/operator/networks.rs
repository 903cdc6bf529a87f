//! Real networks: a PostHog with a private certificate authority, and a proxy.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    support::{Env, Operator},
    tls_and_proxy::{PrivateAuthority, Proxy},
};

const ONE_TABLE: &str =
    "sources: [{type: Postgres, schemas: [{name: a, last_synced_ago: 1h, rows: 5}]}]";

/// Variables of this machine must not affect a test.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// PostHog over https on this port, in its own network.
struct Network {
    env: Env,
    authority: PrivateAuthority,
    port: u16,
}

impl Network {
    fn new() -> Self {
        let (env, authority) = (Env::new(ONE_TABLE), PrivateAuthority::new("ours"));
        let port = authority.in_front_of(env.posthog.port(), "localhost");
        Self {
            env,
            authority,
            port,
        }
    }

    fn place(&self) -> String {
        format!("localhost:{}", self.port)
    }

    fn operator(&self, flags: &[&str], variables: &[(&str, &str)]) -> Operator {
        let place = self.place();
        let mut args = vec!["--namespace", &self.env.namespace, "--allowed-host", &place];
        args.extend(["--allow-http-loopback", "--time-factor", "600"]);
        args.extend(flags);
        let mut all: Vec<(&str, &str)> = PROXY_VARIABLES.map(|name| (name, "")).to_vec();
        all.extend(variables);
        Operator::start_with(&self.env.kubeconfig, &args, &all)
    }

    /// An operator that trusts the authority.
    fn trusting_operator(&self, variables: &[(&str, &str)]) -> Operator {
        self.operator(&["--ca-file", self.ca_file().as_str()], variables)
    }

    fn ca_file(&self) -> String {
        self.authority.file().display().to_string()
    }

    fn apply_policy(&self) {
        let policy = self.env.policy("p", "");
        let url = format!("https://{}", self.place());
        let policy = policy.replace(&self.env.posthog.url(), &url);
        // Shorter limits are only for a PostHog over http on this machine.
        let policy = policy.replace("2s, noProgressFor: 2s, loadingSilentFor: 4s", "6h");
        self.env.apply(&policy).unwrap();
    }

    /// The message of Ready for an unreachable host.
    fn complaint(&self) -> String {
        let status = self.env.wait_for_reason("p", "Ready", "HostUnreachable");
        status.condition("Ready").unwrap().message.clone()
    }
}

fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[test]
fn a_certificate_of_a_private_authority_is_refused_until_ca_file_names_it() {
    let network = Network::new();
    let operator = network.operator(&[], &[]);
    network.apply_policy();
    let said = network.complaint();
    assert_says(&said, &["UnknownIssuer", "--ca-file", &network.place()]);
    assert!(network.env.posthog.simulator().requests().is_empty());
    drop(operator);

    let file = network.ca_file();
    let operator = network.operator(&[], &[("WAREHOUSE_SYNC_CA_FILE", &file)]);
    network.env.wait_for_reason("p", "Ready", "Polled");
    operator.wait_for_log("trusting 1 additional certificate authorities");
}

#[test]
fn calls_go_through_the_proxy_of_the_environment_whose_password_is_not_shown() {
    let network = Network::new();
    let proxy = Proxy::open();
    let url = format!("http://robot:hunter%402@{}", proxy.address());
    let variables = [
        ("HTTPS_PROXY", url.as_str()),
        // The API server of the tests is at this address.
        ("NO_PROXY", "127.0.0.1"),
        ("RUST_LOG", "trace"),
    ];
    let operator = network.trusting_operator(&variables);
    network.apply_policy();
    network.env.wait_for_reason("p", "Ready", "Polled");
    assert_eq!(proxy.places(), [network.place()]);
    // robot:hunter@2
    let authorization = "Basic cm9ib3Q6aHVudGVyQDI=";
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.contains(authorization)));
    assert!(heads.iter().all(|head| !head.contains("phx_demo")));
    operator.wait_for_log(&format!("the proxy http://{}", proxy.address()));
    for shown in [operator.log(), operator.get("/metrics").1] {
        for secret in ["hunter", "cm9ib3Q6"] {
            let line = shown.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{line:?}");
        }
    }
}

#[test]
fn hosts_in_no_proxy_are_reached_without_the_proxy() {
    let network = Network::new();
    let proxy = Proxy::open();
    let url = format!("http://{}", proxy.address());
    // In lower case, as also used.
    let variables = [
        ("https_proxy", url.as_str()),
        ("no_proxy", "127.0.0.1, localhost"),
    ];
    // Empty is not unset, and upper case takes precedence.
    let place = network.place();
    let flags = [
        "--namespace",
        &network.env.namespace,
        "--allowed-host",
        &place,
    ];
    let file = network.ca_file();
    let flags = [&flags[..], &["--ca-file", &file]].concat();
    let _operator = Operator::start_with(&network.env.kubeconfig, &flags, &variables);
    network.apply_policy();
    network.env.wait_for_reason("p", "Ready", "Polled");
    assert!(proxy.heads().is_empty(), "{:?}", proxy.heads());
}

/// As in kubectl. Requests to this machine over http do not use the proxy.
#[test]
fn the_api_server_of_a_kubeconfig_is_behind_the_proxy_too_unless_no_proxy_names_it() {
    let network = Network::new();
    let proxy = Proxy::open();
    let url = format!("http://{}", proxy.address());
    let variables = [("HTTPS_PROXY", url.as_str()), ("HTTP_PROXY", url.as_str())];
    let _operator = network.operator(&[], &variables);
    network.env.apply(&network.env.policy("p", "")).unwrap();
    network.env.wait_for_reason("p", "Ready", "Polled");
    let kubeconfig = std::fs::read_to_string(&network.env.kubeconfig).unwrap();
    let places = proxy.places();
    assert_eq!(places.len(), 1, "{places:?}");
    assert_says(&kubeconfig, &[&format!("https://{}", places[0])]);
}

#[test]
fn a_refusal_by_a_proxy_is_reported_with_what_to_do() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let asks = Proxy::answering("407 Proxy Authentication Required");
    let forbids = Proxy::answering("403 Forbidden");
    let rows = [
        (closed, "Connection refused", "Check HTTPS_PROXY"),
        (
            asks.address(),
            "proxy authorization required",
            "http://USER:PASSWORD@HOST:PORT",
        ),
        (forbids.address(), "tunnel", "allows this host"),
    ];
    let network = Network::new();
    network.apply_policy();
    for (address, why, advice) in rows {
        let url = format!("http://robot:hunter2@{address}");
        let variables = [("HTTPS_PROXY", url.as_str()), ("NO_PROXY", "127.0.0.1")];
        let operator = network.trusting_operator(&variables);
        let way = format!("through the proxy http://{address}");
        let status = network.env.wait_for("p", &way, |status| {
            let ready = status.condition("Ready");
            ready.is_some_and(|ready| ready.message.contains(&way))
        });
        let ready = status.condition("Ready").unwrap();
        assert_eq!(ready.reason, "HostUnreachable");
        assert_says(&ready.message, &[why, advice]);
        assert!(!ready.message.contains("hunter2"), "{}", ready.message);
        assert!(!operator.log().contains("hunter2"), "{}", operator.log());
    }
    assert!(network.env.posthog.simulator().requests().is_empty());
}

/// Exit code and output of the binary, which must exit without a signal.
fn ended(args: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warehouse-sync-operator"));
    for name in PROXY_VARIABLES {
        command.env_remove(name);
    }
    let output = command
        .args(args)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env("POSTHOG_API_KEY", "phx_demo")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    // The report for people is wrapped.
    let words: Vec<&str> = said.split_whitespace().collect();
    (output.status.code(), words.join(" "))
}

fn diagnose(port: u16, ca_file: &Path) -> (Option<i32>, String) {
    let (host, ca_file) = (
        format!("https://localhost:{port}"),
        ca_file.display().to_string(),
    );
    let args = [
        "diagnose",
        "--host",
        &host,
        "--project",
        "12345",
        "--ca-file",
        &ca_file,
    ];
    ended(&args, &[])
}

#[test]
fn diagnose_says_what_is_wrong_with_a_certificate() {
    let env = Env::new(ONE_TABLE);
    let (authority, other, behind) = (
        PrivateAuthority::new("ours"),
        PrivateAuthority::new("another"),
        env.posthog.port(),
    );
    let good = authority.in_front_of(behind, "localhost");
    let (code, said) = diagnose(good, &authority.file());
    assert_eq!(code, Some(0), "{said}");
    let rows = [
        (good, other.file(), "UnknownIssuer"),
        (
            authority.in_front_of(behind, "posthog.internal"),
            authority.file(),
            "only valid for DnsName(\"posthog.internal\")",
        ),
        (
            authority.long_ago_in_front_of(behind),
            authority.file(),
            "expired on 2001-02-03",
        ),
    ];
    let before = env.posthog.simulator().requests().len();
    for (port, ca_file, why) in rows {
        let (code, said) = diagnose(port, &ca_file);
        assert_eq!(code, Some(3), "{said}");
        assert_says(&said, &[why]);
    }
    assert_eq!(env.posthog.simulator().requests().len(), before);
}

#[test]
fn an_unusable_ca_file_ends_the_operator_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let authority = PrivateAuthority::new("ours");
    let good = std::fs::read_to_string(authority.file()).unwrap();
    let cut = good.replace("-----END CERTIFICATE-----", "");
    let no_certificate = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    let files = [
        ("missing", None, "cannot read --ca-file"),
        ("empty", Some(String::new()), "has no certificate"),
        (
            "garbage",
            Some("\u{0}\u{1}hello".repeat(99)),
            "has no certificate",
        ),
        (
            "second_is_none",
            Some(format!("{good}{no_certificate}")),
            "certificate 2 of --ca-file",
        ),
        ("cut", Some(cut), "--ca-file"),
    ];
    for (name, content, why) in files {
        let path = folder.path().join(name);
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        let path = path.display().to_string();
        let run = ["run", "--bind", "127.0.0.1:0", "--ca-file", &path];
        let diagnose = [
            "diagnose",
            "--host",
            "https://localhost:1",
            "--project",
            "1",
            "--ca-file",
            &path,
        ];
        for (args, code) in [(&run[..], 2), (&diagnose[..], 3)] {
            let (ended_with, said) = ended(args, &[]);
            assert_eq!(ended_with, Some(code), "{name}: {said}");
            assert_says(&said, &["error: ", why, &path]);
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

#[test]
fn an_unusable_proxy_ends_the_operator_at_the_start_and_is_not_shown() {
    for value in [
        "robot:hunter2@proxy:3128",
        "socks5://robot:hunter2@proxy:1080",
        "http://",
    ] {
        for name in ["HTTPS_PROXY", "https_proxy"] {
            let (code, said) = ended(&["run", "--bind", "127.0.0.1:0"], &[(name, value)]);
            assert_eq!(code, Some(2), "{value}: {said}");
            assert_says(&said, &[name, "http://HOST:PORT"]);
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
