//! What waits to be sent, and when: in memory, bounded, and never awaited by a reconcile.
//!
//! Each reconcile offers all notifications that its status owes. What the outbox has no room for, or loses with the process, the
//! next reconcile offers again. Messages to one URL go one by one: at most [`BURST`] at once, then as fast as the allowance grows back; after a failure
//! they wait longer each time, and after [`TRIES`] in a row what waits for that URL is given up.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::{
    ReceiverAnswer,
    announced::{Delivery, take_note},
    channel::Channel,
    message::Message,
};
use crate::api::{announced::Announced, validated::PolicyRef};

/// Messages to one URL that may go out one right after the other.
pub const BURST: u32 = 20;
/// Failures in a row after which what waits for a URL is given up: after about 17 minutes.
pub const TRIES: u32 = 6;
/// Most messages that wait for one URL.
const MOST_FOR_ONE: usize = 256;
/// Most messages that wait at all. Each has a few KiB.
const MOST: usize = 4_000;
/// Most messages that are being sent at a time: receivers that do not answer block no more than these.
const MOST_UNDER_WAY: usize = 32;

/// How fast messages go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two messages to one URL; Slack takes one in a second.
    pub gap: SignedDuration,
    /// How long it takes until one more message is allowed after a burst.
    pub refill: SignedDuration,
    /// After the first failure; three times longer after each further one.
    pub retry: SignedDuration,
    /// After many.
    pub longest_retry: SignedDuration,
}

impl Pace {
    /// That of production.
    pub const PRODUCTION: Self = Self {
        gap: SignedDuration::from_secs(1),
        refill: SignedDuration::from_secs(10),
        retry: SignedDuration::from_secs(10),
        longest_retry: SignedDuration::from_mins(10),
    };

    /// The same, `factor` times faster: for demos and tests.
    #[must_use]
    pub fn divided_by(factor: u32) -> Self {
        let Self {
            gap,
            refill,
            retry,
            longest_retry,
        } = Self::PRODUCTION;
        let factor = i32::try_from(factor.max(1)).unwrap_or(i32::MAX);
        Self {
            gap: gap / factor,
            refill: refill / factor,
            retry: retry / factor,
            longest_retry: longest_retry / factor,
        }
    }
}

/// A message that is due, for one receiver.
#[derive(Debug, Clone)]
pub struct Due {
    /// The policy that it is of.
    pub at: PolicyRef,
    /// What it says.
    pub message: Arc<Message>,
    /// Who gets it.
    pub to: Channel,
    /// How many more wait for the same receiver because no more go out now.
    pub held_back: usize,
}

/// What to do now.
#[derive(Debug)]
pub enum NextDelivery {
    /// Send this.
    Send(Box<Due>),
    /// Nothing, until then or until something changes.
    Wait(Option<Timestamp>),
}

/// What waits to be sent. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Outbox {
    inner: Arc<Mutex<Inner>>,
    changed: Arc<Notify>,
}

/// Policy, id of the message, receiver.
type Key = (PolicyRef, String, String);
/// Distinguishes URLs.
type Lane = [u8; 32];

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Waiting>,
    under_way: HashSet<Key>,
    lanes: HashMap<Lane, LaneState>,
    /// The outcome of messages, in the order of the answers, until a status has it.
    deliveries: HashMap<PolicyRef, Vec<Delivered>>,
}

#[derive(Debug)]
struct Delivered {
    id: String,
    channel: String,
    delivery: Delivery,
}

#[derive(Debug, Clone)]
struct Waiting {
    at: PolicyRef,
    message: Arc<Message>,
    to: Channel,
    lane: Lane,
}

impl Waiting {
    fn is_same(&self, other: &Self) -> bool {
        self.message.id == other.message.id && self.to.key == other.to.key
    }

    fn key(&self) -> Key {
        (
            self.at.clone(),
            self.message.id.clone(),
            self.to.key.clone(),
        )
    }
}

#[derive(Debug)]
struct LaneState {
    busy: bool,
    spent: u32,
    /// Since when `spent` counts down.
    counted_from: Timestamp,
    failures: u32,
    not_before: Timestamp,
}

impl Outbox {
    /// Takes all notifications that a reconcile owes. Those that already wait keep their place; others of the policy are dropped.
    pub fn offer(&self, at: &PolicyRef, written: &Announced, owed: Vec<(Arc<Message>, Channel)>) {
        let mut inner = self.lock();
        inner.keep_unwritten(at, written);
        let fresh = inner.replace(at, owed);
        if inner.take_in(fresh) {
            drop(inner);
            self.changed.notify_one();
        }
    }

    /// Adds to the announcements of a status the outcomes that it does not have yet.
    pub fn complete(&self, at: &PolicyRef, announced: &mut Announced) {
        let inner = self.lock();
        for known in inner.deliveries.get(at).into_iter().flatten() {
            take_note(announced, &known.id, &known.channel, &known.delivery);
        }
    }

    /// Forgets a policy that was deleted, or that another replica now handles.
    pub fn forget(&self, at: &PolicyRef) {
        let mut inner = self.lock();
        inner.waiting.retain(|waiting| waiting.at != *at);
        inner.under_way.retain(|(of, ..)| of != at);
        inner.deliveries.remove(at);
    }

    /// What to do now. A message counts as being sent until [`Self::done`] is called with its outcome.
    #[must_use]
    pub fn next(&self, pace: &Pace, now: Timestamp) -> NextDelivery {
        self.lock().next(pace, now)
    }

    /// Records an answer; returns the outcome as a label of metrics.
    pub fn done(
        &self,
        due: &Due,
        answer: &ReceiverAnswer,
        pace: &Pace,
        now: Timestamp,
    ) -> &'static str {
        let outcome = self.lock().done(due, answer, pace, now);
        self.changed.notify_one();
        outcome
    }

    /// Resolves when there may be something else to do.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A delivery is remembered until the status has it.
    fn keep_unwritten(&mut self, at: &PolicyRef, written: &Announced) {
        let Some(known) = self.deliveries.get_mut(at) else {
            return;
        };
        known.retain(|known| {
            let mut rows = written.announcements.iter();
            rows.any(|row| row.id == known.id && row.owed.contains(&known.channel))
        });
        if known.is_empty() {
            self.deliveries.remove(at);
        }
    }

    /// Updates the waiting messages of a policy; returns the new ones.
    fn replace(&mut self, at: &PolicyRef, owed: Vec<(Arc<Message>, Channel)>) -> Vec<Waiting> {
        let owed = owed.into_iter().map(|(message, to)| Waiting {
            at: at.clone(),
            lane: to.address.digest(),
            message,
            to,
        });
        let mut owed: Vec<Waiting> = owed.collect();
        self.waiting.retain_mut(|waiting| {
            if waiting.at != *at {
                return true;
            }
            let place = owed.iter().position(|newest| newest.is_same(waiting));
            // What it says, and where to, may have changed.
            place.is_some_and(|place| {
                *waiting = owed.remove(place);
                true
            })
        });
        owed.retain(|fresh| !self.is_settled(fresh));
        owed
    }

    /// Puts what is new behind the rest, as far as there is room; true if there was any.
    fn take_in(&mut self, fresh: Vec<Waiting>) -> bool {
        if fresh.is_empty() {
            return false;
        }
        let mut waits: HashMap<Lane, usize> = HashMap::new();
        for waiting in &self.waiting {
            *waits.entry(waiting.lane).or_default() += 1;
        }
        for waiting in fresh {
            let of_lane = waits.entry(waiting.lane).or_default();
            if *of_lane < MOST_FOR_ONE && self.has_room_for(&waiting.at.namespace) {
                *of_lane += 1;
                self.waiting.push_back(waiting);
            }
        }
        true
    }

    /// Whether another message of this namespace may wait. If all places are taken, the namespace with the most gives one up, whose
    /// message is offered again later: no tenant may keep the messages of another from being sent.
    fn has_room_for(&mut self, namespace: &str) -> bool {
        if self.waiting.len() < MOST {
            return true;
        }
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for waiting in &self.waiting {
            *counts.entry(&waiting.at.namespace).or_default() += 1;
        }
        let own = counts.get(namespace).copied().unwrap_or_default();
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some((largest, _)) = most.filter(|(_, count)| *count > own + 1) else {
            return false;
        };
        let of_largest = |waiting: &Waiting| *waiting.at.namespace == *largest;
        let last = self.waiting.iter().rposition(of_largest);
        last.and_then(|place| self.waiting.remove(place)).is_some()
    }

    /// True for what is on its way, or was answered and is not yet written down.
    fn is_settled(&self, waiting: &Waiting) -> bool {
        let (id, channel) = (&waiting.message.id, &waiting.to.key);
        let mut answered = self.deliveries.get(&waiting.at).into_iter().flatten();
        answered.any(|known| known.id == *id && known.channel == *channel)
            || self.under_way.contains(&waiting.key())
    }

    fn next(&mut self, pace: &Pace, now: Timestamp) -> NextDelivery {
        self.let_go_of_lanes(pace, now);
        if self.under_way.len() >= MOST_UNDER_WAY {
            return NextDelivery::Wait(None);
        }
        let mut soonest: Option<Timestamp> = None;
        let mut run_probed: HashSet<Lane> = HashSet::new();
        for place in 0..self.waiting.len() {
            let lane = self.waiting[place].lane;
            // Only the first of a lane can be next.
            if !run_probed.insert(lane) {
                continue;
            }
            let state = self
                .lanes
                .entry(lane)
                .or_insert_with(|| LaneState::new(now));
            if state.busy {
                continue;
            }
            let from = state.free_from(pace, now);
            if from > now {
                soonest = Some(soonest.map_or(from, |soonest| soonest.min(from)));
                continue;
            }
            state.spend(now);
            state.busy = true;
            let is_last = state.spent >= BURST;
            let Some(waiting) = self.waiting.remove(place) else {
                break;
            };
            let same = |other: &&Waiting| other.lane == lane && other.at == waiting.at;
            let held_back = self.waiting.iter().filter(same).count();
            self.under_way.insert(waiting.key());
            let Waiting {
                at, message, to, ..
            } = waiting;
            return NextDelivery::Send(Box::new(Due {
                at,
                message,
                to,
                held_back: if is_last { held_back } else { 0 },
            }));
        }
        NextDelivery::Wait(soonest)
    }

    /// A lane is worth its memory while something waits for it or it has something to remember.
    fn let_go_of_lanes(&mut self, pace: &Pace, now: Timestamp) {
        let waited_for: HashSet<Lane> = self.waiting.iter().map(|waiting| waiting.lane).collect();
        self.lanes.retain(|lane, state| {
            state.count_down(pace, now);
            let rests = state.not_before <= now && state.spent == 0;
            state.busy || waited_for.contains(lane) || !rests
        });
    }

    fn done(
        &mut self,
        due: &Due,
        answer: &ReceiverAnswer,
        pace: &Pace,
        now: Timestamp,
    ) -> &'static str {
        let lane = due.to.address.digest();
        let waiting = Waiting {
            at: due.at.clone(),
            message: due.message.clone(),
            to: due.to.clone(),
            lane,
        };
        let is_ours = self.under_way.remove(&waiting.key());
        let state = self
            .lanes
            .entry(lane)
            .or_insert_with(|| LaneState::new(now));
        state.busy = false;
        match answer {
            ReceiverAnswer::Accepted => {
                state.failures = 0;
                state.not_before = later(now, pace.gap);
                if is_ours {
                    self.deliver(&waiting, Delivery::Notified);
                }
                "delivered"
            }
            ReceiverAnswer::NotAccepted { why, passes, wait } => {
                state.failures = state.failures.saturating_add(1);
                let pause = state
                    .pause(pace)
                    .max(wait.map_or(SignedDuration::ZERO, signed));
                state.not_before = later(now, pause);
                let is_out = state.failures >= TRIES;
                if *passes && !is_out {
                    if is_ours {
                        // First again: messages are sent in the order of their events.
                        self.waiting.push_front(waiting);
                    }
                    return "retried";
                }
                let gave_up = |edition: &str| Delivery::GaveUp {
                    why: why.clone(),
                    at: now,
                    edition: edition.to_owned(),
                };
                if is_ours {
                    self.deliver(&waiting, gave_up(&waiting.to.edition));
                }
                if is_out {
                    let all = std::mem::take(&mut self.waiting);
                    let (given_up, rest): (VecDeque<_>, VecDeque<_>) =
                        all.into_iter().partition(|other| other.lane == lane);
                    self.waiting = rest;
                    for other in given_up {
                        self.deliver(&other, gave_up(&other.to.edition));
                    }
                }
                "given_up"
            }
        }
    }

    fn deliver(&mut self, waiting: &Waiting, delivery: Delivery) {
        let (id, channel) = (waiting.message.id.clone(), waiting.to.key.clone());
        let known = self.deliveries.entry(waiting.at.clone()).or_default();
        if delivery == Delivery::Notified {
            // It works again: what was given up before and is not yet written down is still owed.
            known.retain(|other| other.channel != channel || other.delivery == Delivery::Notified);
        }
        known.push(Delivered {
            id,
            channel,
            delivery,
        });
    }
}

impl LaneState {
    const fn new(now: Timestamp) -> Self {
        Self {
            busy: false,
            spent: 0,
            counted_from: now,
            failures: 0,
            not_before: now,
        }
    }

    /// Gives back what has become allowed again.
    fn count_down(&mut self, pace: &Pace, now: Timestamp) {
        while self.spent > 0 {
            let next = later(self.counted_from, pace.refill);
            if next > now {
                return;
            }
            self.spent -= 1;
            self.counted_from = next;
        }
    }

    fn spend(&mut self, now: Timestamp) {
        if self.spent == 0 {
            self.counted_from = now;
        }
        self.spent += 1;
    }

    fn free_from(&mut self, pace: &Pace, now: Timestamp) -> Timestamp {
        self.count_down(pace, now);
        if self.spent < BURST {
            return self.not_before;
        }
        self.not_before.max(later(self.counted_from, pace.refill))
    }

    fn pause(&self, pace: &Pace) -> SignedDuration {
        let doublings = self.failures.saturating_sub(1).min(10);
        let longer = 3_i32.saturating_pow(doublings);
        let pause = pace.retry.checked_mul(longer);
        pause.unwrap_or(pace.longest_retry).min(pace.longest_retry)
    }
}

fn later(from: Timestamp, by: SignedDuration) -> Timestamp {
    from.checked_add(by).unwrap_or(from)
}

fn signed(wait: Duration) -> SignedDuration {
    SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            message::MessageContent,
            tests::{channel, now, policy},
        },
        *,
    };
    use crate::api::{announced::Announcement, notification::Occasion};

    const PACE: Pace = Pace::PRODUCTION;
    const SLACK: &str = "[{type: Slack, secretRef: {name: s, key: url}}]";

    fn at(name: &str) -> PolicyRef {
        PolicyRef {
            namespace: "n".into(),
            name: name.into(),
        }
    }

    fn to(url: &str) -> Channel {
        channel(&policy(SLACK), 0, &format!("https://hooks.example/{url}"))
    }

    fn message(id: usize) -> Arc<Message> {
        Arc::new(Message {
            id: format!("{id:03}"),
            occasion: Occasion::Escalated,
            since: now(),
            content: MessageContent {
                policy: "p".into(),
                namespace: "n".into(),
                host: String::new(),
                project_id: 1,
                source: String::new(),
                source_id: String::new(),
                schema: String::new(),
                schema_id: String::new(),
                cause: None,
                message: String::new(),
                next_action: String::new(),
                proposal: None,
            },
        })
    }

    /// A status that owes these messages to a receiver.
    fn owing(ids: std::ops::Range<usize>, to: &Channel) -> Announced {
        let row = |id: usize| Announcement {
            id: format!("{id:03}"),
            occasion: Occasion::Escalated,
            about: String::new(),
            source_id: String::new(),
            source: String::new(),
            schema: String::new(),
            cause: None,
            since: now(),
            message: String::new(),
            owed: vec![to.key.clone()],
            notified: Vec::new(),
            gave_up: Vec::new(),
        };
        Announced {
            announcements: ids.map(row).collect(),
            failing: Vec::new(),
        }
    }

    fn offer(outbox: &Outbox, policy: &str, ids: std::ops::Range<usize>, to: &Channel) {
        let owed = ids.clone().map(|id| (message(id), to.clone())).collect();
        outbox.offer(&at(policy), &owing(ids, to), owed);
    }

    fn take(outbox: &Outbox, now: Timestamp) -> Option<Box<Due>> {
        match outbox.next(&PACE, now) {
            NextDelivery::Send(due) => Some(due),
            NextDelivery::Wait(_) => None,
        }
    }

    fn waits_until(outbox: &Outbox, now: Timestamp) -> SignedDuration {
        match outbox.next(&PACE, now) {
            NextDelivery::Wait(Some(until)) => until.duration_since(now),
            other => panic!("{other:?}"),
        }
    }

    fn no(passes: bool, wait: Option<Duration>) -> ReceiverAnswer {
        ReceiverAnswer::NotAccepted {
            why: "HTTP 500".into(),
            passes,
            wait,
        }
    }

    #[test]
    fn messages_to_one_url_go_one_by_one_and_others_beside_them() {
        let outbox = Outbox::default();
        offer(&outbox, "a", 0..2, &to("x"));
        offer(&outbox, "b", 2..3, &to("y"));
        let first = take(&outbox, now()).unwrap();
        let other = take(&outbox, now()).unwrap();
        assert_eq!(
            (first.message.id.as_str(), other.message.id.as_str()),
            ("000", "002")
        );
        assert!(take(&outbox, now()).is_none());
        assert_eq!(
            outbox.done(&first, &ReceiverAnswer::Accepted, &PACE, now()),
            "delivered"
        );
        assert_eq!(waits_until(&outbox, now()), PACE.gap);
    }

    #[test]
    fn a_message_that_is_offered_twice_is_sent_once() {
        let outbox = Outbox::default();
        let mut announced = owing(0..1, &to("x"));
        offer(&outbox, "a", 0..1, &to("x"));
        offer(&outbox, "a", 0..1, &to("x"));
        let due = take(&outbox, now()).unwrap();
        // In progress, and answered but not yet in status.
        offer(&outbox, "a", 0..1, &to("x"));
        outbox.done(&due, &ReceiverAnswer::Accepted, &PACE, now());
        offer(&outbox, "a", 0..1, &to("x"));
        let later = now() + SignedDuration::from_hours(1);
        assert!(take(&outbox, later).is_none());
        outbox.complete(&at("a"), &mut announced);
        assert_eq!(announced.announcements[0].notified, [to("x").key]);
        // Written down: nothing is left to remember.
        outbox.offer(&at("a"), &announced, Vec::new());
        let mut stale = owing(0..1, &to("x"));
        outbox.complete(&at("a"), &mut stale);
        assert_eq!(stale, owing(0..1, &to("x")));
    }

    #[test]
    fn a_burst_is_followed_by_one_message_at_a_time_which_says_how_many_wait() {
        let outbox = Outbox::default();
        offer(&outbox, "a", 0..30, &to("x"));
        let mut time = now();
        let mut held_back = Vec::new();
        for _ in 0..BURST + 2 {
            while take(&outbox, time).is_none_or(|due| {
                held_back.push(due.held_back);
                outbox.done(&due, &ReceiverAnswer::Accepted, &PACE, time);
                false
            }) {
                time += waits_until(&outbox, time);
            }
        }
        let bursts = usize::try_from(BURST).unwrap();
        // Two were allowed again while the first went out.
        assert!(
            held_back[..bursts].iter().all(|count| *count == 0),
            "{held_back:?}"
        );
        assert_eq!(held_back.iter().max(), Some(&8), "{held_back:?}");
        let took = time.duration_since(now());
        assert!(took >= SignedDuration::from_secs(20), "{took}");
    }

    #[test]
    fn failures_wait_longer_each_time_and_then_all_for_that_url_is_given_up() {
        let outbox = Outbox::default();
        offer(&outbox, "a", 0..3, &to("x"));
        offer(&outbox, "b", 7..8, &to("x"));
        let mut time = now();
        let mut waits = Vec::new();
        for outcome in ["retried"; 5] {
            let due = take(&outbox, time).unwrap();
            assert_eq!(due.message.id, "000");
            assert_eq!(outbox.done(&due, &no(true, None), &PACE, time), outcome);
            let wait = waits_until(&outbox, time);
            waits.push(wait.as_secs());
            time += wait;
        }
        assert_eq!(waits, [10, 30, 90, 270, 600]);
        let due = take(&outbox, time).unwrap();
        assert_eq!(outbox.done(&due, &no(true, None), &PACE, time), "given_up");
        assert!(take(&outbox, time + SignedDuration::from_hours(9)).is_none());
        for (policy, ids) in [("a", 0..3), ("b", 7..8)] {
            let mut announced = owing(ids, &to("x"));
            outbox.complete(&at(policy), &mut announced);
            assert_eq!(announced.failing.len(), 1);
            assert!(
                announced
                    .announcements
                    .iter()
                    .all(|row| row.gave_up.len() == 1)
            );
        }
    }

    #[test]
    fn a_permanent_refusal_gives_up_only_that_message_and_retry_after_is_honoured() {
        let outbox = Outbox::default();
        offer(&outbox, "a", 0..2, &to("x"));
        let due = take(&outbox, now()).unwrap();
        assert_eq!(
            outbox.done(&due, &no(false, None), &PACE, now()),
            "given_up"
        );
        let later = now() + waits_until(&outbox, now());
        let due = take(&outbox, later).unwrap();
        assert_eq!(due.message.id, "001");
        let wait = Some(Duration::from_mins(20));
        assert_eq!(outbox.done(&due, &no(true, wait), &PACE, later), "retried");
        assert_eq!(waits_until(&outbox, later), SignedDuration::from_mins(20));
        // It works again: what was given up in the meantime is owed again.
        let later = later + SignedDuration::from_mins(20);
        let due = take(&outbox, later).unwrap();
        outbox.done(&due, &ReceiverAnswer::Accepted, &PACE, later);
        offer(&outbox, "a", 0..2, &to("x"));
        let later = later + SignedDuration::from_mins(1);
        assert_eq!(take(&outbox, later).unwrap().message.id, "000");
    }

    #[test]
    fn what_is_no_longer_owed_and_deleted_policies_are_not_announced() {
        let outbox = Outbox::default();
        offer(&outbox, "a", 0..2, &to("x"));
        offer(&outbox, "a", 1..2, &to("x"));
        let due = take(&outbox, now()).unwrap();
        assert_eq!(due.message.id, "001");
        outbox.forget(&at("a"));
        outbox.done(&due, &no(true, None), &PACE, now());
        assert!(take(&outbox, now() + SignedDuration::from_hours(1)).is_none());
        let inner = outbox.lock();
        assert!(inner.deliveries.is_empty() && inner.waiting.is_empty());
    }

    #[test]
    fn receivers_that_never_answer_use_bounded_memory_and_do_not_block_others() {
        let outbox = Outbox::default();
        for policy in 0..100 {
            offer(&outbox, &format!("p{policy}"), 0..200, &to("same"));
        }
        assert_eq!(outbox.lock().waiting.len(), MOST_FOR_ONE);
        for policy in 0..100 {
            let url = format!("u{policy}");
            offer(&outbox, &format!("q{policy}"), 0..200, &to(&url));
        }
        assert!(outbox.lock().waiting.len() <= MOST);
        let under_way: Vec<_> = std::iter::from_fn(|| take(&outbox, now())).collect();
        assert!(under_way.len() <= MOST_UNDER_WAY, "{}", under_way.len());
        let mut time = now();
        for due in &under_way {
            outbox.done(due, &no(true, None), &PACE, time);
        }
        for _ in 0..10_000 {
            match outbox.next(&PACE, time) {
                NextDelivery::Send(due) => {
                    outbox.done(&due, &no(true, None), &PACE, time);
                }
                NextDelivery::Wait(Some(until)) => time = until,
                NextDelivery::Wait(None) => break,
            }
        }
        assert!(outbox.lock().waiting.is_empty());
        let long_after = time + SignedDuration::from_hours(1);
        assert!(take(&outbox, long_after).is_none());
        assert!(outbox.lock().lanes.is_empty());
    }

    #[test]
    fn a_namespace_with_many_messages_leaves_places_to_the_others() {
        let outbox = Outbox::default();
        let offer = |namespace: &str, name: &str, count: usize| {
            let (to, ids) = (to(&format!("{namespace}/{name}")), 0..count);
            let at = PolicyRef {
                namespace: namespace.into(),
                name: name.into(),
            };
            let owed = ids.clone().map(|id| (message(id), to.clone())).collect();
            outbox.offer(&at, &owing(ids, &to), owed);
        };
        let waiting = |namespace: &str| {
            let inner = outbox.lock();
            let own = |waiting: &&Waiting| *waiting.at.namespace == *namespace;
            inner.waiting.iter().filter(own).count()
        };
        for policy in 0..20 {
            offer("large", &policy.to_string(), MOST_FOR_ONE);
        }
        assert_eq!(waiting("large"), MOST);
        offer("small", "p", 30);
        assert_eq!((waiting("small"), waiting("large")), (30, MOST - 30));
        offer("large", "20", MOST_FOR_ONE);
        assert_eq!((waiting("small"), waiting("large")), (30, MOST - 30));
    }
}
