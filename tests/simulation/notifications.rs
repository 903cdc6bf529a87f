//! Notifications, with a fault at any place: each occasion under one id, nothing is lost, and a steady state writes nothing.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use warehouse_sync_operator::{
    api::{announced::Announcement, notification::Occasion},
    report::notifications::{
        ReceiverAnswer,
        outbox::{Due, NextDelivery, Pace},
    },
};

use crate::{
    faults::{Fault, Faults},
    scenarios::{JOB_SURVIVES, WORKFLOW_SURVIVES},
    world::World,
};

pub const SECRET: &str = "{apiVersion: v1, kind: Secret, metadata: {name: hook, resourceVersion: '1', labels: {warehousesync.dev/use: notification}}, \
     data: {url: aHR0cDovLzEyNy4wLjAuMTo5L2hvb2s=}}";
pub const NOTIFIED: &str = "mode: Enforce, interval: 5m, notifications: [{type: Slack, secretRef: {name: hook, key: url}, events: [ApprovalRequired, Escalated, BreakerOpen, Recovered]}]";

/// What a receiver got: how often each message, by id, and its subject.
type Inbox = BTreeMap<String, (Occasion, usize)>;

/// What the process that sends does until nothing is due; `dies` says whether it dies right after a message has left.
fn post(
    world: &mut World,
    inbox: &mut Inbox,
    answer: impl Fn(&Due) -> ReceiverAnswer,
    mut dies: impl FnMut(&Due) -> bool,
) -> bool {
    let (outbox, mut sent) = (world.outbox(), false);
    while let NextDelivery::Send(due) = outbox.next(&Pace::PRODUCTION, world.now()) {
        let answered = answer(&due);
        if answered == ReceiverAnswer::Accepted {
            let seen = inbox.entry(due.message.id.clone());
            seen.or_insert((due.message.occasion, 0)).1 += 1;
        }
        if dies(&due) {
            world.restart();
            return true;
        }
        outbox.done(&due, &answered, &Pace::PRODUCTION, world.now());
        sent = true;
    }
    sent
}

/// Lets the operator work for `time`; messages are sent between reconciles, and an answer triggers a reconcile.
fn run(world: &mut World, inbox: &mut Inbox, time: SignedDuration, died_once: &mut bool) {
    let end = world.now() + time;
    while world.now() < end {
        world.run_for(SignedDuration::from_secs(1));
        let mut dies = |_: &Due| !std::mem::replace(died_once, true);
        if post(world, inbox, |_| ReceiverAnswer::Accepted, &mut dies) {
            world.reconcile();
        }
    }
}

fn world(scenario: &str, plan: &[(usize, Fault)]) -> World {
    let spec = format!("{NOTIFIED}, health: {{stuck: {{after: 1h, noProgressFor: 1h}}}}");
    let world = World::new(scenario, &spec, Faults::new(plan));
    world.cluster.put_secret(SECRET);
    world
}

/// A run that hangs, outlives its cancel until the operator has given up, and is followed by one that completes.
fn recovers_late() -> String {
    let late = WORKFLOW_SURVIVES
        .replace(
            "on_cancel: workflow_survives",
            "on_cancel: workflow_survives, workflow_ends_after: 5h",
        )
        .replace("public.orders,", "public.orders, frequency: 12hour,");
    format!("schedule: true\n{late}")
}

fn notified(inbox: &Inbox) -> Vec<Occasion> {
    let mut notified: Vec<_> = inbox.values().map(|(on, _)| *on).collect();
    notified.sort_unstable();
    notified
}

const LONG: SignedDuration = SignedDuration::from_hours(20);

#[test]
fn an_escalation_and_its_end_are_notified_once_each_and_then_nothing_is_written() {
    let (mut world, mut inbox) = (world(&recovers_late(), &[]), Inbox::new());
    run(&mut world, &mut inbox, LONG, &mut true);
    let both = [Occasion::Escalated, Occasion::Recovered];
    assert_eq!(notified(&inbox), both, "{:#?}", world.status());
    assert!(inbox.values().all(|(_, times)| *times == 1), "{inbox:?}");
    assert!(world.status().state.announced.is_empty());
    let before = world.cluster.version();
    let soon = SignedDuration::from_mins(50);
    run(&mut world, &mut inbox, soon, &mut true);
    let writes = world.cluster.version() - before;
    assert!(writes <= 1, "a steady state was written {writes} times");
}

#[test]
fn a_receiver_that_is_down_for_long_gets_only_what_is_still_open_and_slows_nothing_down() {
    let (mut world, mut inbox) = (world(JOB_SURVIVES, &[]), Inbox::new());
    let refused = |_: &Due| ReceiverAnswer::NotAccepted {
        why: "HTTP 503".to_owned(),
        passes: true,
        wait: None,
    };
    let end = world.now() + SignedDuration::from_hours(6);
    while world.now() < end {
        world.run_for(SignedDuration::from_secs(1));
        post(&mut world, &mut inbox, refused, |_| false);
    }
    assert_eq!((world.count("cancel"), inbox.len()), (1, 0));
    let status = world.status();
    let saying = status.condition("Notifying").unwrap();
    assert_eq!(saying.reason, "DeliveryFailed", "{saying:?}");
    assert!(saying.message.contains("HTTP 503"), "{saying:?}");
    let failed = |world: &World| {
        let events = world.cluster.events();
        let failed = events
            .iter()
            .filter(|e| e.reason.as_str() == "NotificationFailed");
        failed.count()
    };
    assert_eq!(failed(&world), 1);
    assert_eq!(status.condition("Ready").unwrap().status, "True");
    // Another Secret: it is tried again, and works.
    world.cluster.put_secret(&SECRET.replace("'1'", "'2'"));
    run(
        &mut world,
        &mut inbox,
        SignedDuration::from_hours(1),
        &mut true,
    );
    assert_eq!(notified(&inbox), [Occasion::Escalated]);
    let status = world.status();
    assert_eq!(status.condition("Notifying").unwrap().status, "True");
    assert_eq!(failed(&world), 1);
}

#[test]
fn no_fault_at_any_effect_loses_a_message_or_gives_it_another_id() {
    let play = |plan: &[(usize, Fault)], dies: bool| {
        let (mut world, mut inbox) = (world(JOB_SURVIVES, plan), Inbox::new());
        let time = SignedDuration::from_hours(3);
        run(&mut world, &mut inbox, time, &mut !dies);
        assert_eq!(notified(&inbox), [Occasion::Escalated], "{plan:?}");
        // Once more for each death between a message and the note that it was taken.
        let times = inbox.values().next().unwrap().1;
        let most = 1 + plan.len() + usize::from(dies);
        assert!(
            times <= most,
            "{plan:?}, dies {dies}: notified {times} times"
        );
        let rows = world.status().state.announced.announcements;
        let all_notified = |row: &Announcement| row.owed.is_empty() && row.notified.len() == 1;
        assert!(rows.iter().all(all_notified), "{plan:?}: {rows:#?}");
        world.faults.effects().len()
    };
    let effects = play(&[], false);
    assert_eq!(play(&[], true), effects);
    for fault in Fault::ALL {
        for index in 0..effects {
            play(&[(index, fault)], index % 2 == 0);
        }
    }
}

#[test]
fn an_unreachable_receiver_is_named_with_the_command_that_fixes_it() {
    let spec = format!("{NOTIFIED}, health: {{stuck: {{after: 1h, noProgressFor: 1h}}}}");
    let mut world = World::new(JOB_SURVIVES, &spec, Faults::default());
    let says = |world: &mut World, text: &str| {
        world.reconcile();
        let status = world.status();
        let saying = status.condition("Notifying").unwrap();
        assert!(saying.message.contains(text), "{saying:?}");
        assert_eq!(status.condition("Ready").unwrap().status, "True");
    };
    says(&mut world, "There is no Secret hook in this namespace");
    let unlabelled = SECRET.replace("warehousesync.dev/use: notification", "x: y");
    world.cluster.put_secret(&unlabelled);
    says(
        &mut world,
        "kubectl label secret hook --namespace n --overwrite warehousesync.dev/use=notification",
    );
    world.cluster.put_secret(&SECRET.replace("url:", "other:"));
    says(
        &mut world,
        "Secret hook has no key \"url\": add it, or name another in spec.notifications",
    );
    // https://evil.example/canary
    let elsewhere = SECRET.replace(
        "aHR0cDovLzEyNy4wLjAuMTo5L2hvb2s=",
        "aHR0cHM6Ly9ldmlsLmV4YW1wbGUvY2FuYXJ5",
    );
    world.cluster.put_secret(&elsewhere);
    says(
        &mut world,
        "start the operator with --allowed-notify-host=HOST",
    );
    world.cluster.put_secret(SECRET);
    says(&mut world, "No problem is known");
}
