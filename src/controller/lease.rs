//! The claim to leadership: how it is won, kept and lost. Pure: times are arguments, and nothing here calls the API server.
//!
//! A Lease object names the leader. Why two claims never overlap, even if something is slow, lost or restarted:
//! - A leader counts its claim from *before* it started the write that made it. A standby counts it from *after* it first saw
//!   that write. So the claim ends at the leader first, if both clocks run equally fast; they need not agree.
//! - Every write carries the resourceVersion that was read, and every write changes it: a claim that was renewed since then
//!   cannot be taken.
//! - Each process has an identity of its own: what its predecessor claimed is not its own.
//!
//! A human who empties `holderIdentity` overrides this: a standby takes over at once, and the leader notices at its next read.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};

/// With a larger factor a test would lose its Lease whenever the machine is busy.
const LARGEST_FACTOR: u32 = 60;

/// How many times as long as its own claim a candidate accepts another's to be, at most. Anyone who may write Leases could otherwise keep
/// every replica from leading for as long as they like; a version whose claims last longer than twice those of the version before would be robbed.
const LONGEST_FACTOR: u32 = 2;

/// How often a standby can look, in the time that a leader leaves the Lease to it after a human emptied `holderIdentity`.
const CHECKS_OF_OTHERS: u32 = 10;

/// How long a claim lasts, and how often it is renewed and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// How long a claim lasts that is not renewed: longer than the longest call by more than one renewal.
    pub lease: Duration,
    /// How often the leader renews it.
    pub renew_every: Duration,
    /// How often the Lease is read: so a standby notices a release, and a leader that another took the Lease.
    pub check_every: Duration,
    /// What the durations were divided by.
    factor: u32,
}

impl Times {
    /// The durations of production.
    pub const PRODUCTION: Self = Self {
        lease: Duration::from_mins(3),
        renew_every: Duration::from_secs(30),
        check_every: Duration::from_secs(1),
        factor: 1,
    };

    /// The same, `factor` times shorter (at most 60 times): for demos and tests against a host on this machine.
    #[must_use]
    pub fn divided_by(factor: u32) -> Self {
        let factor = factor.clamp(1, LARGEST_FACTOR);
        let Self {
            lease,
            renew_every,
            check_every,
            ..
        } = Self::PRODUCTION;
        let renew_every = renew_every / factor;
        Self {
            lease: lease / factor,
            renew_every,
            check_every: check_every.min(renew_every),
            factor,
        }
    }

    /// How much of a claim a call may take. As much shorter as the claim is: a host on this machine answers at once.
    #[must_use]
    pub fn share(&self, deadline: Duration) -> Duration {
        deadline / self.factor
    }

    /// How long the claim lasts that a Lease states. Its holder may be of another version of this program, but others who may write
    /// Leases must not make it so short that two lead, or so long that none does.
    fn trusted(&self, lease: &Lease) -> Duration {
        let stated = lease
            .spec
            .as_ref()
            .and_then(|spec| spec.lease_duration_seconds);
        let stated = stated.and_then(|seconds| u64::try_from(seconds).ok());
        stated.map_or(self.lease, |seconds| {
            Duration::from_secs(seconds).clamp(self.lease, self.lease * LONGEST_FACTOR)
        })
    }

    /// As the Lease says it, in whole seconds: rather longer than shorter.
    fn lease_seconds(&self) -> i32 {
        i32::try_from(self.lease.as_millis().div_ceil(1_000)).unwrap_or(i32::MAX)
    }
}

/// The right to lead for a while, by the monotonic clock of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    made: Instant,
    until: Instant,
}

impl Claim {
    /// When it ends, unless it is renewed.
    #[must_use]
    pub const fn until(self) -> Instant {
        self.until
    }

    /// True if a call that begins `now` and may take `call` ends before the claim does.
    #[must_use]
    pub fn covers(self, now: Instant, call: Duration) -> bool {
        self.until
            .checked_duration_since(now)
            .is_some_and(|left| left > call)
    }
}

/// The claim of another, as observed from here.
#[derive(Debug)]
struct OtherHolder {
    version: Option<String>,
    until: Instant,
}

/// What is to be written.
#[derive(Debug, Clone, PartialEq)]
pub enum LeaseWrite {
    /// A Lease where there is none.
    Create(Lease),
    /// This, if the Lease still has the resourceVersion in it.
    Replace(Lease),
}

/// One process that leads or would like to.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    times: Times,
    claim: Option<Claim>,
    other_holder: Option<OtherHolder>,
    /// Until when it leaves a Lease without a holder to others.
    defers_until: Option<Instant>,
}

impl Candidate {
    /// A candidate that has seen nothing. No other may ever have had its `identity`.
    #[must_use]
    pub const fn new(identity: String, times: Times) -> Self {
        Self {
            identity,
            times,
            claim: None,
            other_holder: None,
            defers_until: None,
        }
    }

    /// The name under which it claims.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Its claim, perhaps one that has run out.
    #[must_use]
    pub const fn claim(&self) -> Option<Claim> {
        self.claim
    }

    /// What to write, now that the Lease was `found` so, or found missing. `now` is after the answer came; `wall` is for
    /// people.
    pub fn saw(
        &mut self,
        found: Option<&Lease>,
        now: Instant,
        wall: Timestamp,
    ) -> Option<LeaseWrite> {
        match (found, found.and_then(holder)) {
            (Some(lease), Some(name)) if name == self.identity => {
                self.other_holder = None;
                self.renewal_is_due(now)
                    .then(|| LeaseWrite::Replace(self.claimed(lease, wall)))
            }
            (Some(lease), Some(_)) => {
                self.claim = None;
                self.note_other_holder(lease, now);
                self.other_claim_has_ended(now)
                    .then(|| LeaseWrite::Replace(self.claimed(lease, wall)))
            }
            // Released; or emptied by a human while this process led, who wants another to lead.
            (Some(lease), None) => {
                if self.claim.take().is_some() {
                    self.defers_until = Some(now + self.times.check_every * CHECKS_OF_OTHERS);
                }
                self.other_holder = None;
                let defers = self.defers_until.is_some_and(|until| now < until);
                (!defers).then(|| LeaseWrite::Replace(self.claimed(lease, wall)))
            }
            // It is new, or it was deleted by hand: then its holder may not know.
            (None, _) => {
                self.claim = None;
                self.other_claim_has_ended(now)
                    .then(|| LeaseWrite::Create(self.claimed(&Lease::default(), wall)))
            }
        }
    }

    /// A write that was started at `started` has succeeded.
    pub fn wrote(&mut self, started: Instant) {
        self.other_holder = None;
        self.defers_until = None;
        self.claim = Some(Claim {
            made: started,
            until: started + self.times.lease,
        });
    }

    /// Gives its claim up; what to write so that a standby need not wait, if the Lease was `found` to be its own.
    pub fn release(&mut self, found: Option<&Lease>, wall: Timestamp) -> Option<Lease> {
        self.claim = None;
        let mut lease = found
            .filter(|lease| holder(lease) == Some(&self.identity))?
            .clone();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = None;
        spec.renew_time = Some(other_time(wall, spec));
        // As client-go leaves it.
        spec.lease_duration_seconds = Some(1);
        Some(lease)
    }

    /// How long until the next read.
    #[must_use]
    pub fn pause(&self, now: Instant) -> Duration {
        let left = self.other_holder.as_ref().and_then(|other_holder| {
            let left = other_holder.until.checked_duration_since(now)?;
            (!left.is_zero()).then_some(left)
        });
        left.map_or(self.times.check_every, |left| {
            left.min(self.times.check_every)
        })
    }

    fn renewal_is_due(&self, now: Instant) -> bool {
        self.claim
            .is_none_or(|claim| now >= claim.made + self.times.renew_every)
    }

    fn note_other_holder(&mut self, lease: &Lease, now: Instant) {
        let version = &lease.metadata.resource_version;
        let known = self
            .other_holder
            .as_ref()
            .is_some_and(|r| r.version == *version);
        if !known {
            self.other_holder = Some(OtherHolder {
                version: version.clone(),
                until: now + self.times.trusted(lease),
            });
        }
    }

    fn other_claim_has_ended(&self, now: Instant) -> bool {
        self.other_holder
            .as_ref()
            .is_none_or(|other_holder| now >= other_holder.until)
    }

    /// The Lease as this candidate holds it. Other fields are kept.
    fn claimed(&self, found: &Lease, wall: Timestamp) -> Lease {
        let mut lease = found.clone();
        let renewed = holder(found) == Some(&self.identity);
        let spec = lease.spec.get_or_insert_default();
        let time = other_time(wall, spec);
        if !renewed {
            spec.acquire_time = Some(time.clone());
            let before = found.spec.as_ref().map(|spec| spec.lease_transitions);
            spec.lease_transitions =
                Some(before.map_or(0, |count| count.unwrap_or(0).saturating_add(1)));
        }
        spec.renew_time = Some(time);
        spec.holder_identity = Some(self.identity.clone());
        spec.lease_duration_seconds = Some(self.times.lease_seconds());
        lease
    }
}

/// Who holds the Lease, if anybody.
#[must_use]
pub fn holder(lease: &Lease) -> Option<&str> {
    let holder = lease.spec.as_ref()?.holder_identity.as_deref()?;
    (!holder.is_empty()).then_some(holder)
}

/// The time, or one that differs: a write that changes nothing keeps the resourceVersion, and would not be noticed.
fn other_time(wall: Timestamp, spec: &LeaseSpec) -> MicroTime {
    let micros = wall.as_microsecond();
    let same = spec
        .renew_time
        .as_ref()
        .is_some_and(|before| before.0.as_microsecond() == micros);
    MicroTime(Timestamp::from_microsecond(micros + i64::from(same)).unwrap_or(wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::UNIX_EPOCH;

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name.to_owned(), Times::PRODUCTION)
    }

    /// The Lease as the API server has it after a write.
    fn stored(write: LeaseWrite, version: &str) -> Lease {
        let (LeaseWrite::Create(mut lease) | LeaseWrite::Replace(mut lease)) = write;
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    fn held_by(name: &str, version: &str) -> Lease {
        stored(
            candidate(name).saw(None, Instant::now(), NOON).unwrap(),
            version,
        )
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_claim_covers_a_call_that_ends_before_it_does() {
        let start = Instant::now();
        let mut leader = candidate("a");
        leader.wrote(start);
        let claim = leader.claim().unwrap();
        let covers = |after, call| claim.covers(start + seconds(after), seconds(call));
        assert!(covers(0, 179) && !covers(0, 180));
        assert!(covers(149, 30) && !covers(150, 30));
        assert!(covers(49, 130) && !covers(50, 130));
        assert!(covers(179, 0) && !covers(180, 0) && !covers(500, 0));
    }

    /// A renewal may fail once and the longest call may still begin.
    #[test]
    fn production_leaves_room_for_the_longest_call() {
        let Times {
            lease, renew_every, ..
        } = Times::PRODUCTION;
        assert!(lease > crate::posthog::client::LIVE_DEADLINE + renew_every);
        assert_eq!(Times::divided_by(1), Times::PRODUCTION);
        let short = Times::divided_by(600);
        assert_eq!(short, Times::divided_by(60));
        assert_eq!(
            (short.lease_seconds(), short.share(seconds(30))),
            (3, Duration::from_millis(500))
        );
        assert_eq!(Times::divided_by(7).lease_seconds(), 26);
    }

    #[test]
    fn a_lease_that_is_absent_or_released_is_taken_at_once() {
        let now = Instant::now();
        let first = candidate("a").saw(None, now, NOON);
        assert!(matches!(first, Some(LeaseWrite::Create(_))));
        let held = held_by("a", "1");
        let released = candidate("a").release(Some(&held), NOON).unwrap();
        assert_eq!(holder(&released), None);
        let taken = candidate("b").saw(Some(&released), now, NOON).unwrap();
        let taken = stored(taken, "2");
        assert_eq!(holder(&taken), Some("b"));
        assert_eq!(taken.spec.unwrap().lease_transitions, Some(1));
        assert_eq!(candidate("b").release(Some(&held), NOON), None);
    }

    #[test]
    fn a_lease_is_taken_when_it_was_seen_unchanged_for_as_long_as_its_holder_said() {
        let start = Instant::now();
        let mut standby = candidate("b");
        let old = held_by("a", "1");
        // Even if its times say that it is old.
        assert_eq!(standby.saw(Some(&old), start, Timestamp::MAX), None);
        assert_eq!(
            standby.saw(Some(&old), start + seconds(179), Timestamp::MAX),
            None
        );
        let renewed = held_by("a", "2");
        let at = start + seconds(179);
        assert_eq!(standby.saw(Some(&renewed), at, NOON), None);
        assert_eq!(
            standby.saw(Some(&renewed), at + seconds(179), Timestamp::MAX),
            None
        );
        let taken = standby.saw(Some(&renewed), at + seconds(180), NOON);
        assert!(matches!(taken, Some(LeaseWrite::Replace(_))));
    }

    #[test]
    fn no_lease_makes_a_claim_shorter_than_ones_own_or_longer_than_twice_that() {
        for (stated, lasts) in [
            (Some(i32::MIN), 180),
            (Some(0), 180),
            (Some(1), 180),
            (Some(180), 180),
            (Some(300), 300),
            (Some(86_400), 360),
            (Some(i32::MAX), 360),
            (None, 180),
        ] {
            let start = Instant::now();
            let mut standby = candidate("b");
            let mut lease = held_by("a", "1");
            lease.spec.get_or_insert_default().lease_duration_seconds = stated;
            assert_eq!(standby.saw(Some(&lease), start, NOON), None);
            let early = start + seconds(lasts - 1);
            assert_eq!(standby.saw(Some(&lease), early, NOON), None, "{stated:?}");
            let taken = standby.saw(Some(&lease), start + seconds(lasts), NOON);
            assert!(matches!(taken, Some(LeaseWrite::Replace(_))), "{stated:?}");
        }
    }

    #[test]
    fn times_in_a_lease_are_for_people_alone() {
        let start = Instant::now();
        let mut standby = candidate("b");
        let mut lease = held_by("a", "1");
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(Timestamp::MAX));
        spec.acquire_time = Some(MicroTime(Timestamp::MAX));
        spec.lease_transitions = Some(i32::MAX);
        assert_eq!(standby.saw(Some(&lease), start, NOON), None);
        let taken = standby.saw(Some(&lease), start + seconds(180), NOON);
        let taken = stored(taken.unwrap(), "2").spec.unwrap();
        assert_eq!(taken.renew_time, Some(MicroTime(NOON)));
        assert_eq!(taken.lease_transitions, Some(i32::MAX));
        assert_eq!(taken.lease_duration_seconds, Some(180));
    }

    #[test]
    fn a_claim_of_a_predecessor_in_the_same_pod_is_not_adopted() {
        let mut next = candidate("pod_2");
        assert_eq!(
            next.saw(Some(&held_by("pod_1", "1")), Instant::now(), NOON),
            None
        );
        assert_eq!(next.claim(), None);
    }

    #[test]
    fn a_leader_renews_when_due_and_notices_when_another_took_the_lease() {
        let start = Instant::now();
        let mut leader = candidate("a");
        let own = held_by("a", "1");
        leader.wrote(start);
        let at = |after| start + seconds(after);
        assert_eq!(leader.saw(Some(&own), at(29), NOON), None);
        let renewal = leader.saw(Some(&own), at(30), NOON);
        // The clock does not move, but the write changes something.
        assert_ne!(renewal, Some(LeaseWrite::Replace(own)));
        assert!(leader.claim().is_some());
        for found in [Some(held_by("b", "2")), None] {
            leader.wrote(start);
            leader.saw(found.as_ref(), at(31), NOON);
            assert_eq!(leader.claim(), None);
        }
    }

    #[test]
    fn a_leader_leaves_a_lease_that_was_emptied_by_hand_to_a_standby() {
        let start = Instant::now();
        let mut leader = candidate("a");
        leader.wrote(start);
        let mut emptied = held_by("a", "1");
        emptied.spec.get_or_insert_default().holder_identity = Some(String::new());
        let at = |after| start + seconds(after);
        assert_eq!(leader.saw(Some(&emptied), at(5), NOON), None);
        assert_eq!(leader.claim(), None);
        assert_eq!(leader.saw(Some(&emptied), at(14), NOON), None);
        assert!(candidate("b").saw(Some(&emptied), at(6), NOON).is_some());
        // Where there is no standby, it leads again.
        assert!(leader.saw(Some(&emptied), at(15), NOON).is_some());
    }

    #[test]
    fn a_lease_that_was_deleted_is_not_taken_before_its_holder_can_know() {
        let start = Instant::now();
        let mut standby = candidate("b");
        standby.saw(Some(&held_by("a", "1")), start, NOON);
        assert_eq!(standby.saw(None, start + seconds(179), NOON), None);
        let taken = standby.saw(None, start + seconds(180), NOON);
        assert!(matches!(taken, Some(LeaseWrite::Create(_))));
    }

    #[test]
    fn a_standby_reads_the_lease_exactly_when_the_claim_of_the_other_ends() {
        let start = Instant::now();
        let mut standby = candidate("b");
        assert_eq!(standby.pause(start), seconds(1));
        standby.saw(Some(&held_by("a", "1")), start, NOON);
        assert_eq!(standby.pause(start), seconds(1));
        let nearly = start + Duration::from_millis(179_700);
        assert_eq!(standby.pause(nearly), Duration::from_millis(300));
        assert_eq!(standby.pause(start + seconds(180)), seconds(1));
    }
}
