//! `query/`: which queries are understood, and what they find.

use posthog_simulator::{KeySpec, Request, Response, Simulator};
use serde_json::{Value, json};

use crate::world::{control, detail, get, send_raw, with};

const DUPLICATES: &str = "SELECT count() AS groups, sum(n) AS rows FROM (SELECT count() AS n FROM `postgres`.`prod`.`orders` GROUP BY `id` HAVING n > 1)";
const NEWEST: &str = "SELECT max(`created_at`) FROM `postgres`.`prod`.`orders`";

fn with_data(schema: &str) -> Simulator {
    let mut posthog = with(&format!(
        "sources: [{{type: Postgres, prefix: prod, schemas: [{{name: public.orders, last_synced_ago: 1h, {schema}}}]}}]"
    ));
    posthog.put_key(KeySpec {
        scopes: vec!["query:read".to_owned()],
        ..KeySpec::default()
    });
    posthog
}

fn with_all() -> Simulator {
    with_data(
        "rows: 1000, data: {duplicates: {columns: [id], groups: 3, extra_rows: 7}, newest: {column: created_at, at_ago: 50h}}",
    )
}

fn post_query(posthog: &mut Simulator, body: &Value) -> Response {
    let request = Request::new("POST", "/api/projects/12345/query/", "phx_demo");
    send_raw(posthog, &request.with_json(body))
}

fn query(posthog: &mut Simulator, sql: &str) -> Response {
    post_query(
        posthog,
        &json!({"query": {"kind": "HogQLQuery", "query": sql}}),
    )
}

fn found(posthog: &mut Simulator, sql: &str) -> Value {
    let answer = query(posthog, sql);
    assert_eq!(answer.status, 200, "{sql}: {}", answer.value());
    answer.value()["results"].clone()
}

#[test]
fn duplicated_keys_and_the_rows_in_them_are_counted() {
    assert_eq!(
        query(&mut with_all(), DUPLICATES).value(),
        json!({
            "columns": ["groups", "rows"],
            "types": [["groups", "UInt64"], ["rows", "UInt64"]],
            "results": [[3, 10]],
            "hasMore": false,
        })
    );
}

#[test]
fn the_newest_value_is_one_time() {
    assert_eq!(
        query(&mut with_all(), NEWEST).value(),
        json!({
            "columns": ["max(created_at)"],
            "types": [["max(created_at)", "Nullable(DateTime64(6, 'UTC'))"]],
            "results": [["2026-09-29T10:00:00Z"]],
            "hasMore": false,
        })
    );
}

#[test]
fn keywords_quotes_and_aliases_may_differ() {
    for sql in [
        "select count(*) as g, sum(t.m) as r from (select count() as m from postgres.prod.orders as o group by o.id having count() > 1) as t limit 100",
        "SELECT count(), sum(`n`) FROM (\n SELECT count() AS `n`\n FROM prod_postgres_orders GROUP BY \"id\" HAVING `n`>1)",
    ] {
        assert_eq!(found(&mut with_all(), sql), json!([[3, 10]]), "{sql}");
    }
    assert_eq!(
        query(
            &mut with_all(),
            "SELECT max(o.created_at) AS newest FROM postgres.prod.orders AS o"
        )
        .value()["columns"],
        json!(["newest"])
    );
}

#[test]
fn a_part_of_a_duplicated_key_occurs_more_than_once_and_a_longer_key_does_not() {
    let data = "rows: 9, data: {duplicates: {columns: [a, b], groups: 2}}, columns: [{name: a}, {name: b}, {name: c}]";
    let grouped = |keys: &str| DUPLICATES.replace("`id`", keys);
    assert_eq!(
        found(&mut with_data(data), &grouped("b, a")),
        json!([[2, 4]])
    );
    assert_eq!(found(&mut with_data(data), &grouped("b")), json!([[2, 4]]));
    assert_eq!(
        found(&mut with_data(data), &grouped("a, b, c")),
        json!([[0, 0]])
    );
}

#[test]
fn a_table_of_which_nothing_is_said_has_unique_keys_and_rows_as_new_as_its_sync() {
    let mut posthog = with_data("rows: 9");
    assert_eq!(found(&mut posthog, DUPLICATES), json!([[0, 0]]));
    let newest = NEWEST.replace("created_at", "updated_at");
    assert_eq!(
        found(&mut posthog, &newest),
        json!([["2026-10-01T11:00:00Z"]])
    );
}

#[test]
fn the_newest_value_of_an_empty_table_is_null() {
    let empty = "rows: 0, data: {duplicates: {columns: [id], groups: 3}, newest: {column: created_at, at_ago: 1h}}";
    let mut posthog = with_data(empty);
    assert_eq!(found(&mut posthog, NEWEST), json!([[null]]));
    assert_eq!(found(&mut posthog, DUPLICATES), json!([[0, 0]]));
}

#[test]
fn the_newest_value_stays_moves_with_syncs_or_is_anything() {
    let newest = |own: &str| format!("rows: 9, data: {{newest: {{column: created_at, {own}}}}}");
    for (own, before, after) in [
        (
            "at_ago: 50h",
            json!("2026-09-29T10:00:00Z"),
            json!("2026-09-29T10:00:00Z"),
        ),
        (
            "behind_sync: 5m",
            json!("2026-10-01T10:55:00Z"),
            json!("2026-10-01T13:55:01Z"),
        ),
        ("value: 17", json!(17), json!(17)),
        (
            "value: '2026-10-01 10:00:00'",
            json!("2026-10-01 10:00:00"),
            json!("2026-10-01 10:00:00"),
        ),
    ] {
        let mut posthog = with_data(&newest(own));
        assert_eq!(found(&mut posthog, NEWEST), json!([[before]]), "{own}");
        posthog.advance(crate::world::hours(2));
        let id = posthog.schema_id("public.orders").unwrap();
        posthog.start_run(&id).unwrap();
        posthog.advance(crate::world::mins(1));
        assert_eq!(found(&mut posthog, NEWEST), json!([[after]]), "{own}");
    }
}

#[test]
fn a_date_is_written_as_a_date() {
    let data = "rows: 9, columns: [{name: created_at, type: date}], data: {newest: {column: created_at, at_ago: 50h}}";
    assert_eq!(found(&mut with_data(data), NEWEST), json!([["2026-09-29"]]));
}

#[test]
fn what_cannot_be_resolved_or_read_is_400_in_the_frameworks_shape() {
    for (sql, text) in [
        (
            "SELECT max(id) FROM postgres.prod.gone",
            "Unknown table `postgres.prod.gone`.",
        ),
        (
            "SELECT max(gone) FROM postgres.prod.orders",
            "Unable to resolve field: gone",
        ),
        (
            &DUPLICATES.replace("`id`", "`id`, `gone`"),
            "Unable to resolve field: gone",
        ),
        (
            &DUPLICATES.replace("sum(n)", "sum(m)"),
            "Unable to resolve field: m",
        ),
        (
            "SELECT * FROM postgres.prod.orders",
            "Syntax error: unexpected '*'",
        ),
        (
            "SELECT max(id) FROM postgres.prod.orders; DROP",
            "Syntax error: unexpected ';'",
        ),
        (
            "SELECT max(`id FROM orders",
            "Syntax error: a quoted name has no end",
        ),
        ("SELECT", "Syntax error: unexpected end of the query"),
        (" ", "Empty query"),
    ] {
        let answer = query(&mut with_all(), sql);
        assert_eq!(
            (answer.status, answer.value()),
            (
                400,
                json!({"type": "validation_error", "code": "invalid_input", "detail": text, "attr": null})
            ),
            "{sql}"
        );
    }
}

#[test]
fn a_table_before_its_first_sync_is_unknown() {
    let answer = query(
        &mut with_data("label: x"),
        "SELECT max(id) FROM postgres.prod.orders",
    );
    assert_eq!(detail(&answer), "Unknown table `postgres.prod.orders`.");
}

#[test]
fn a_table_that_the_keys_owner_may_not_see_is_unknown() {
    let answer = query(&mut with_data("rows: 9, invisible: true"), DUPLICATES);
    assert_eq!(answer.status, 400);
}

#[test]
fn only_hogql_is_simulated() {
    let mut posthog = with_all();
    let other = json!({"query": {"kind": "EventsQuery", "select": ["*"]}});
    assert_eq!(post_query(&mut posthog, &other).status, 501);
    assert_eq!(post_query(&mut posthog, &json!({})).status, 400);
}

#[test]
fn a_key_without_the_scope_is_403_and_may_do_everything_else() {
    let mut posthog = with("sources: [{type: Postgres, prefix: prod, schemas: [{name: orders}]}]");
    let answer = query(&mut posthog, NEWEST);
    assert_eq!(
        (answer.status, detail(&answer).as_str()),
        (403, "API key missing required scope 'query:read'")
    );
    get(&mut posthog, "external_data_sources/");
    assert_eq!(posthog.requests()[0].status, Some(403));
}

#[test]
fn a_key_that_may_only_query_may_do_nothing_else() {
    let mut posthog = with_all();
    let request = Request::new(
        "GET",
        "/api/projects/12345/external_data_sources/",
        "phx_demo",
    );
    assert_eq!(send_raw(&mut posthog, &request).status, 403);
}

#[test]
fn queries_have_windows_of_their_own() {
    let mut posthog = with_all();
    posthog.set_rate_limits(posthog_simulator::RateLimits {
        burst_per_minute: 1,
        queries_per_minute: 2,
        ..posthog_simulator::RateLimits::default()
    });
    let statuses: Vec<u16> = (0..3).map(|_| query(&mut posthog, NEWEST).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}

#[test]
fn what_is_found_can_be_changed_while_the_simulator_runs() {
    let mut posthog = with_all();
    posthog.advance(crate::world::hours(1));
    let change = json!({"data": {"newest": {"column": "created_at", "at_ago": "1m"}}});
    assert_eq!(
        control(&mut posthog, "POST", "schemas/public.orders", &change).0,
        200
    );
    assert_eq!(
        found(&mut posthog, NEWEST),
        json!([["2026-10-01T12:59:00Z"]])
    );
    assert_eq!(found(&mut posthog, DUPLICATES), json!([[0, 0]]));
    posthog.advance(crate::world::hours(1));
    control(&mut posthog, "POST", "schemas/public.orders", &change);
    assert_eq!(
        found(&mut posthog, NEWEST),
        json!([["2026-10-01T13:59:00Z"]])
    );
    let wrong = json!({"data": {"duplicates": {"columns": ["id"], "groups": 3, "extra_rows": 1}}});
    assert_eq!(
        control(&mut posthog, "POST", "schemas/public.orders", &wrong).0,
        400
    );
}

#[test]
fn the_log_of_a_webhook_is_read_newest_first() {
    let mut posthog = with(
        "sources: [{type: Stripe, prefix: pay, webhook: {supports_webhooks: true, exists: true}, \
         webhook_log: [{ago: 2h, message: old}, {ago: 1h, level: WARN, message: new}], schemas: [{name: c}]}]",
    );
    posthog.put_key(KeySpec {
        scopes: vec!["query:read".to_owned()],
        ..KeySpec::default()
    });
    let id = posthog.source_id("pay").unwrap();
    let sql = |id: &str| {
        format!(
            "SELECT timestamp, level, message FROM log_entries WHERE log_source = 'hog_function' AND log_source_id = '{id}' ORDER BY timestamp DESC LIMIT 50"
        )
    };
    let lines = found(&mut posthog, &sql(&id));
    assert_eq!(lines[0], json!(["2026-10-01T11:00:00Z", "WARN", "new"]));
    assert_eq!(lines.as_array().unwrap().len(), 2);
    assert_eq!(found(&mut posthog, &sql("0000")), json!([]));
}
