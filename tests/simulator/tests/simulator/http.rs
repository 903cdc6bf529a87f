//! The same over a real socket, with a client that hides nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use posthog_simulator::{Clock, EffectKind, Fault, FaultKind, Scenario, Server, Simulator};

const HUNG: &str = "sources: [{schemas: [{name: orders, last_synced_ago: 15h, run: {started_ago: 9h, hangs: {}}}]}]";
const SOURCES: &str = "/api/projects/12345/external_data_sources/";

fn serve() -> Server {
    let scenario = Scenario::from_yaml(HUNG).unwrap();
    Server::start(Simulator::from_scenario(&scenario, Clock::real()).unwrap()).unwrap()
}

/// Everything that comes until the server closes the connection.
fn talk(server: &Server, method: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer phx_demo\r\nUser-Agent: talk/1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    // A dropped connection may show as an error or as an end.
    stream.read_to_end(&mut answer).ok();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn it_answers_over_http_and_its_next_points_to_itself() {
    let server = serve();
    let answer = talk(&server, "GET", SOURCES).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/json"));
    let logged = server.simulator().requests()[0].clone();
    assert_eq!(
        (logged.user_agent.as_deref(), logged.key.as_deref()),
        (Some("talk/1"), Some("key-1"))
    );
}

#[tokio::test]
async fn it_can_be_used_within_a_runtime() {
    let mut server = serve();
    server.simulator().advance(SignedDuration::from_hours(1));
    server.stop();
}

#[test]
fn a_connection_that_is_cut_before_the_headers_gives_nothing() {
    let server = serve();
    let id = server.simulator().schema_id("orders").unwrap();
    server
        .simulator()
        .add_fault(Fault::once("POST", "cancel", FaultKind::CutAfterEffect));
    let answer = talk(
        &server,
        "POST",
        &format!("/api/projects/12345/external_data_schemas/{id}/cancel/"),
    )
    .unwrap();
    assert_eq!(answer, "");
    assert_eq!(
        server.simulator().effects_of(EffectKind::Cancelled).len(),
        1
    );
}

#[test]
fn a_connection_that_is_cut_within_the_body_gives_the_part_and_promised_more() {
    let server = serve();
    server.simulator().add_fault(Fault::once(
        "GET",
        "sources",
        FaultKind::CutBody { bytes: 40 },
    ));
    let answer = talk(&server, "GET", SOURCES).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), 40);
    let promised = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    assert!(promised.parse::<usize>().unwrap() > 40);
}

#[test]
fn an_answer_can_be_late_and_a_body_slow() {
    let server = serve();
    server.simulator().add_fault(Fault::once(
        "GET",
        "sources",
        FaultKind::Delay {
            by: SignedDuration::from_millis(300),
        },
    ));
    let start = Instant::now();
    talk(&server, "GET", SOURCES).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300));
    server.simulator().add_fault(Fault::once(
        "GET",
        "jobs",
        FaultKind::SlowBody {
            bytes_per_second: 2000,
        },
    ));
    let source = server.simulator().source_id("Postgres").unwrap();
    let start = Instant::now();
    let answer = talk(&server, "GET", &format!("{SOURCES}{source}/jobs/")).unwrap();
    let length = answer.split_once("\r\n\r\n").unwrap().1.len();
    assert!(start.elapsed() >= Duration::from_millis(u64::try_from(length).unwrap() / 2));
}

#[test]
fn a_server_restarts_on_its_port_with_its_state() {
    let mut server = serve();
    let port = server.port();
    talk(&server, "GET", SOURCES).unwrap();
    server.stop();
    assert!(talk(&server, "GET", SOURCES).is_err(), "nobody listens");
    server.restart().unwrap();
    assert_eq!(server.port(), port);
    talk(&server, "GET", SOURCES).unwrap();
    assert_eq!(server.simulator().count("GET", "sources"), 2);
}

#[test]
fn a_server_stops_when_it_is_dropped() {
    let server = serve();
    let port = server.port();
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[test]
fn virtual_time_may_run_faster() {
    let scenario = Scenario::from_yaml(HUNG).unwrap();
    let clock = Clock::Real {
        offset: SignedDuration::from_hours(-1),
        speed: 3600,
    };
    let server = Server::start(Simulator::from_scenario(&scenario, clock).unwrap()).unwrap();
    let before = server.simulator().now();
    std::thread::sleep(Duration::from_millis(50));
    assert!(server.simulator().now().duration_since(before) >= SignedDuration::from_mins(2));
}

#[test]
fn a_time_that_was_shown_finds_nothing_newer_than_itself() {
    let server = serve();
    let id = server.simulator().schema_id("orders").unwrap();
    server.simulator().write_log(&id, "a line").unwrap();
    let path = format!("/api/projects/12345/external_data_schemas/{id}/logs/?limit=1");
    let answer = talk(&server, "GET", &path).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let shown = body["results"][0]["timestamp"].as_str().unwrap();
    let answer = talk(&server, "GET", &format!("{path}&after={shown}")).unwrap();
    assert!(answer.contains("\"count\":0"), "{answer}");
}
