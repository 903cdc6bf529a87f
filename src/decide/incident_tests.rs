//! The steps, by tables. Whole procedures, with faults, are in `tests/simulation`.

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::api::status::RootCause;
use crate::observe::Log;

const OLD: &str = "j-old";
const NEW: &str = "j-new";

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

fn incident(step: Step, sends: Vec<Send>) -> Incident {
    Incident {
        schema_id: "a1".into(),
        schema: "t".into(),
        source: "Postgres".into(),
        source_id: "s1".into(),
        cause: RootCause::Stuck,
        step,
        attempt: 1,
        job_id: Some(OLD.into()),
        baseline_job_id: Some(OLD.into()),
        new_job_id: None,
        opened_at: at(0),
        step_since: at(0),
        deadline: Some(at(15)),
        healthy_since: None,
        sends,
        message: String::new(),
    }
}

fn sent(call: Call, minute: i64, fate: Option<Fate>, status: Option<i64>, detail: &str) -> Send {
    Send {
        call,
        started_at: at(minute),
        fate,
        http_status: status,
        detail: detail.into(),
    }
}

fn cancel(fate: Option<Fate>, status: Option<i64>, detail: &str) -> Send {
    sent(Call::Cancel, 0, fate, status, detail)
}

fn reload(minute: i64, fate: Option<Fate>) -> Send {
    sent(Call::Reload, minute, fate, None, "")
}

fn run_probe(jobs: &[(&str, &str)]) -> RunProbe {
    let rows: Vec<_> = jobs
        .iter()
        .enumerate()
        .map(|(age, (id, status))| {
            let created = at(-(i64::try_from(age).unwrap() + 1) * 60);
            format!(r#"{{"id":"{id}","created_at":"{created}","status":"{status}","schema":{{"id":"a1"}}}}"#)
        })
        .collect();
    let jobs = serde_json::from_str(&format!("[{}]", rows.join(","))).unwrap();
    RunProbe::new(at(0), "a1", Ok(jobs), quiet_log())
}

/// A log in which the run wrote its last line hours ago.
fn quiet_log() -> Log {
    Log::of_line(Some(at(-600)))
}

fn row(json: &str) -> Schema {
    serde_json::from_str(&format!(r#"{{"id":"a1","name":"t",{json}}}"#)).unwrap()
}

/// Advances with these facts at this minute.
fn go_on(
    incident: &mut Incident,
    run_probe: Option<&RunProbe>,
    row: Option<&Schema>,
    minute: i64,
) -> Next {
    advance(
        incident,
        &Facts {
            run_probe,
            row,
            timings: &Timings::PRODUCTION,
            now: at(minute),
        },
    )
}

#[test]
fn what_an_answer_to_cancel_leads_to() {
    let cases = [
        (Some(Fate::Accepted), Some(200), "", Step::WaitTerminal),
        (
            Some(Fate::Accepted),
            Some(200),
            "No sync was running.",
            Step::WaitTerminal,
        ),
        (
            Some(Fate::Refused),
            Some(400),
            "The sync already finished.",
            Step::WaitTerminal,
        ),
        (
            Some(Fate::Refused),
            Some(400),
            "Could not cancel the running sync.",
            Step::WaitTerminal,
        ),
        (
            Some(Fate::Refused),
            Some(403),
            "You do not have editor access to this table.",
            Step::Escalated,
        ),
        (Some(Fate::Unknown), Some(502), "", Step::WaitTerminal),
        (None, None, "", Step::WaitTerminal),
    ];
    for (fate, status, detail, expected) in cases {
        let mut incident = incident(Step::Cancelling, vec![cancel(fate, status, detail)]);
        assert_eq!(go_on(&mut incident, None, None, 1), Next::Wait, "{detail}");
        assert_eq!(incident.step, expected, "{fate:?} {detail}");
    }
}

#[test]
fn a_cancel_that_never_left_is_sent_again_until_its_deadline() {
    let mut incident = incident(
        Step::Cancelling,
        vec![cancel(Some(Fate::NotSent), None, "refused")],
    );
    assert_eq!(
        go_on(&mut incident, None, None, 14),
        Next::Send(Call::Cancel)
    );
    assert!(matches!(
        go_on(&mut incident, None, None, 15),
        Next::Close(_)
    ));
}

#[test]
fn a_cancel_whose_fate_is_unknown_is_never_sent_again() {
    for fate in [
        None,
        Some(Fate::Unknown),
        Some(Fate::Accepted),
        Some(Fate::Refused),
    ] {
        let mut incident = incident(Step::Cancelling, vec![cancel(fate, None, "")]);
        for minute in 1..200 {
            let next = go_on(
                &mut incident,
                Some(&run_probe(&[(OLD, "Running")])),
                None,
                minute,
            );
            assert_eq!(next, Next::Wait, "{fate:?} at {minute}");
        }
        assert_eq!(incident.step, Step::Escalated);
    }
}

#[test]
fn a_job_that_completed_needs_no_reload() {
    let mut incident = incident(
        Step::WaitTerminal,
        vec![cancel(
            Some(Fate::Refused),
            Some(400),
            "The sync already finished.",
        )],
    );
    assert_eq!(
        go_on(
            &mut incident,
            Some(&run_probe(&[(OLD, "Completed")])),
            None,
            1
        ),
        Next::Wait
    );
    assert_eq!(incident.step, Step::Recovered);
}

#[test]
fn a_job_that_billing_ended_closes_the_incident() {
    for status in ["Billing limit too low", "Billing limits"] {
        let mut incident = incident(
            Step::WaitTerminal,
            vec![cancel(Some(Fate::Accepted), Some(200), "")],
        );
        assert!(matches!(
            go_on(&mut incident, Some(&run_probe(&[(OLD, status)])), None, 1),
            Next::Close(_)
        ));
    }
}

#[test]
fn the_reload_waits_three_minutes_after_the_end_of_the_job() {
    let mut incident = incident(
        Step::WaitTerminal,
        vec![cancel(Some(Fate::Accepted), Some(200), "")],
    );
    let run_probe = run_probe(&[(OLD, "Failed")]);
    assert_eq!(go_on(&mut incident, Some(&run_probe), None, 1), Next::Wait);
    assert_eq!(
        (incident.step, incident.deadline),
        (Step::Settle, Some(at(4)))
    );
    assert_eq!(go_on(&mut incident, Some(&run_probe), None, 3), Next::Wait);
    assert_eq!(
        go_on(&mut incident, Some(&run_probe), None, 4),
        Next::Send(Call::Reload)
    );
}

#[test]
fn a_run_that_began_by_itself_makes_the_reload_needless() {
    for step in [
        Step::WaitTerminal,
        Step::Settle,
        Step::Reloading,
        Step::WaitNewJob,
    ] {
        let mut incident = incident(step, vec![cancel(Some(Fate::Accepted), Some(200), "")]);
        let next = go_on(
            &mut incident,
            Some(&run_probe(&[(NEW, "Running"), (OLD, "Failed")])),
            None,
            100,
        );
        assert_eq!(
            (next, incident.step),
            (Next::Wait, Step::WaitSuccess),
            "{step:?}"
        );
        assert_eq!(incident.new_job_id.as_deref(), Some(NEW));
    }
}

#[test]
fn a_table_that_was_switched_off_or_hit_billing_is_not_reloaded() {
    for json in [
        r#""should_sync":false,"status":"Failed""#,
        r#""should_sync":true,"status":"Billing limits""#,
    ] {
        for step in [Step::Reloading, Step::WaitNewJob] {
            let mut incident = incident(step, vec![reload(0, Some(Fate::Accepted))]);
            incident.deadline = Some(at(150));
            let next = go_on(
                &mut incident,
                Some(&run_probe(&[(OLD, "Failed")])),
                Some(&row(json)),
                20,
            );
            let waits = next == Next::Wait && step == Step::Reloading;
            assert!(
                matches!(next, Next::Close(_)) || waits,
                "{json} {step:?}: {next:?}"
            );
        }
    }
}

#[test]
fn a_reload_that_would_be_refused_again_is_escalated() {
    for (status, detail) in [
        (
            400,
            "Monthly sync limit reached. Please increase your billing limit to resume syncing.",
        ),
        (
            400,
            "This table has no sync frequency, so its sync cannot be scheduled.",
        ),
        (403, "You do not have editor access to this table."),
        (404, "Not found."),
    ] {
        let refused = sent(Call::Reload, 0, Some(Fate::Refused), Some(status), detail);
        let mut incident = incident(Step::Reloading, vec![refused]);
        assert_eq!(
            go_on(&mut incident, Some(&run_probe(&[(OLD, "Failed")])), None, 1),
            Next::Wait
        );
        assert_eq!(incident.step, Step::Escalated, "{detail}");
    }
}

/// The minutes at which a reload is sent when no new job ever appears.
fn minutes_of_reloads(fate: Fate) -> Vec<i64> {
    let mut incident = incident(
        Step::Reloading,
        vec![cancel(Some(Fate::Accepted), Some(200), "")],
    );
    let run_probe = run_probe(&[(OLD, "Failed")]);
    let mut minutes = Vec::new();
    for minute in 0..200 {
        if go_on(&mut incident, Some(&run_probe), None, minute) == Next::Send(Call::Reload) {
            incident.sends.push(reload(minute, Some(fate)));
            minutes.push(minute);
        }
    }
    assert_eq!(incident.step, Step::Escalated);
    assert_eq!(incident.step_since, at(150));
    minutes
}

#[test]
fn reloads_without_a_job_are_sent_again_at_15_and_75_minutes_and_given_up_at_150() {
    assert_eq!(minutes_of_reloads(Fate::Accepted), [0, 15, 75]);
    assert_eq!(minutes_of_reloads(Fate::Refused), [0, 15, 75]);
}

#[test]
fn a_reload_of_unknown_fate_is_sent_at_most_once_more() {
    assert_eq!(minutes_of_reloads(Fate::Unknown), [0, 15]);
}

#[test]
fn only_a_new_job_that_completed_is_success() {
    let cases = [
        (
            run_probe(&[(NEW, "Completed"), (OLD, "Failed")]),
            Some(Step::Recovered),
        ),
        (
            run_probe(&[(NEW, "Running"), (OLD, "Failed")]),
            Some(Step::WaitSuccess),
        ),
        (
            run_probe(&[(NEW, "Dreaming"), (OLD, "Failed")]),
            Some(Step::WaitSuccess),
        ),
        (run_probe(&[(OLD, "Completed")]), Some(Step::WaitSuccess)),
        (run_probe(&[]), Some(Step::WaitSuccess)),
        (run_probe(&[(NEW, "Failed"), (OLD, "Failed")]), None),
        (run_probe(&[(NEW, "Billing limits"), (OLD, "Failed")]), None),
    ];
    for (run_probe, expected) in cases {
        let mut incident = incident(Step::WaitSuccess, vec![]);
        let next = go_on(&mut incident, Some(&run_probe), None, 1);
        let step = (next == Next::Wait).then_some(incident.step);
        assert_eq!(step, expected, "{run_probe:?}");
    }
}

#[test]
fn a_read_without_a_result_moves_nothing_but_deadlines() {
    let unclear = RunProbe::new(at(0), "a1", Err("500".into()), Log::NotRead);
    for run_probe in [None, Some(&unclear)] {
        for step in [Step::WaitTerminal, Step::WaitSuccess, Step::WaitNewJob] {
            let mut incident = incident(step, vec![reload(0, Some(Fate::Accepted))]);
            assert_eq!(
                go_on(&mut incident, run_probe, None, 14),
                Next::Wait,
                "{step:?}"
            );
            assert_eq!(incident.step, step);
        }
    }
}

#[test]
fn an_ended_incident_is_closed_after_the_table_was_healthy_without_a_break() {
    let mut incident = incident(Step::Recovered, vec![]);
    let for_ten = SignedDuration::from_mins(10);
    assert!(!healed(&mut incident, Some(true), for_ten, at(0)));
    assert!(!healed(&mut incident, Some(false), for_ten, at(5)));
    assert!(!healed(&mut incident, Some(true), for_ten, at(6)));
    assert!(!healed(&mut incident, Some(true), for_ten, at(15)));
    assert!(
        !healed(&mut incident, None, for_ten, at(16)),
        "a run in progress says nothing"
    );
    assert!(healed(&mut incident, Some(true), for_ten, at(16)));
}

#[test]
fn a_cancel_that_found_nothing_is_not_called_a_cancel() {
    for said in ["No running sync to cancel.", "The sync already finished."] {
        let sends = vec![cancel(Some(Fate::Refused), Some(400), said)];
        let mut incident = incident(Step::Cancelling, sends);
        go_on(&mut incident, None, None, 1);
        assert_eq!(
            incident.message,
            format!("PostHog found no running sync to cancel; waiting for the state of run {OLD}")
        );
    }
}

/// A new job that began and ended at these minutes, stopped by somebody, and the one that was to be cancelled at minute 0.
fn stopped(began: i64, ended: i64) -> RunProbe {
    let (long_ago, began, ended) = (at(-600), at(began), at(ended));
    let jobs = format!(
        r#"[{{"id":"{NEW}","created_at":"{began}","finished_at":"{ended}","status":"Failed","latest_error":"Sync cancelled by user","schema":{{"id":"a1"}}}},
            {{"id":"{OLD}","created_at":"{long_ago}","status":"Failed","schema":{{"id":"a1"}}}}]"#
    );
    RunProbe::new(
        ended,
        "a1",
        Ok(serde_json::from_str(&jobs).unwrap()),
        quiet_log(),
    )
}

#[test]
fn a_new_job_that_our_late_cancel_probably_hit_is_reloaded_and_others_are_not() {
    let nothing = "No running sync to cancel.";
    let cases = [
        (Some(Fate::Unknown), "", 1, 2, true),
        (None, "", 1, 2, true),
        (Some(Fate::Unknown), "", 30, 40, true),
        (Some(Fate::Accepted), "", 2, 20, true),
        (Some(Fate::Accepted), "", -2, 1, true),
        (Some(Fate::Accepted), "", 5, 20, false),
        (Some(Fate::Refused), nothing, 1, 2, false),
        (Some(Fate::NotSent), "", 1, 2, false),
    ];
    for (fate, said, began, ended, ours) in cases {
        let sends = vec![cancel(fate, None, said), reload(4, Some(Fate::Accepted))];
        let mut incident = incident(Step::WaitSuccess, sends);
        let next = go_on(&mut incident, Some(&stopped(began, ended)), None, ended);
        let case = format!("{fate:?} {said} {began}-{ended}: {next:?}");
        if !ours {
            assert!(
                matches!(&next, Next::Close(why) if why.contains("was stopped in PostHog by someone else")),
                "{case}"
            );
            continue;
        }
        assert_eq!((next, incident.step), (Next::Wait, Step::Settle), "{case}");
        assert_eq!(incident.baseline_job_id.as_deref(), Some(NEW), "{case}");
        assert!(
            incident
                .message
                .contains("probably by the operator's own cancel"),
            "{}",
            incident.message
        );
        let run_probe = stopped(began, ended);
        assert_eq!(
            go_on(&mut incident, Some(&run_probe), None, ended + 2),
            Next::Wait
        );
        assert_eq!(
            go_on(&mut incident, Some(&run_probe), None, ended + 3),
            Next::Send(Call::Reload),
            "{case}"
        );
    }
}

#[test]
fn our_late_cancel_explains_only_one_stopped_job() {
    let sends = vec![cancel(Some(Fate::Unknown), None, "")];
    let mut incident = incident(Step::WaitSuccess, sends);
    incident.baseline_job_id = Some("j-hit".into());
    let next = go_on(&mut incident, Some(&stopped(1, 2)), None, 3);
    assert!(matches!(next, Next::Close(_)), "{next:?}");
}

#[test]
fn a_table_that_is_still_worked_on_is_not_reloaded_and_escalated_at_last() {
    let settling = || {
        let mut incident = incident(
            Step::Settle,
            vec![cancel(Some(Fate::Accepted), Some(200), "")],
        );
        incident.deadline = Some(at(3));
        incident
    };
    // Another run of the table ended at this minute.
    let worked = |minute: i64| {
        let ended = at(minute);
        let (newest, older) = (at(-60), at(-120));
        let jobs = format!(
            r#"[{{"id":"{OLD}","created_at":"{newest}","status":"Failed","schema":{{"id":"a1"}}}},
                {{"id":"j-older","created_at":"{older}","finished_at":"{ended}","status":"Completed","schema":{{"id":"a1"}}}}]"#
        );
        RunProbe::new(
            at(0),
            "a1",
            Ok(serde_json::from_str(&jobs).unwrap()),
            quiet_log(),
        )
    };
    let mut waits = settling();
    assert_eq!(go_on(&mut waits, Some(&worked(2)), None, 4), Next::Wait);
    assert_eq!(waits.step, Step::Settle);
    assert_eq!(
        go_on(&mut waits, Some(&worked(2)), None, 5),
        Next::Send(Call::Reload)
    );
    let mut busy = settling();
    for minute in 3..=150 {
        let next = go_on(&mut busy, Some(&worked(minute - 1)), None, minute);
        assert_eq!(next, Next::Wait, "{minute}");
    }
    assert_eq!(busy.step, Step::Escalated);
}
