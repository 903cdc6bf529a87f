//! The operator's own share of the rate limits of one API key: the rest is for other users of the key.
//!
//! The share is a hard limit for all calls with the key, over all projects. Below it, what can wait makes room for what cannot: probes stop first,
//! then polls, and the rest is reserved for remediations in progress.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// Over which time the rest of an hour's share is spread once half of it is used.
const SPREAD: SignedDuration = SignedDuration::from_mins(15);

/// How much of a key's limits the operator may use, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    percent: u32,
    faster: i32,
}

impl Share {
    /// In percent, from 1 to 100.
    #[must_use]
    pub fn percent(percent: u32) -> Self {
        Self {
            percent: percent.clamp(1, 100),
            faster: 1,
        }
    }

    /// The same in a time that runs faster by this factor: for demos and tests on this machine.
    #[must_use]
    pub fn faster_by(self, factor: u32) -> Self {
        let faster = i32::try_from(factor.max(1)).unwrap_or(i32::MAX);
        Self { faster, ..self }
    }

    fn of(self, limit: u32) -> usize {
        usize::try_from((limit * self.percent / 100).max(1)).unwrap_or(usize::MAX)
    }
}

/// What `PostHog` allows one key.
#[derive(Debug, Clone, Copy)]
pub struct KeyLimits {
    /// In a minute.
    pub minute: u32,
    /// In an hour.
    pub hour: u32,
}

impl KeyLimits {
    /// Of every call but queries.
    pub const CALLS: Self = Self {
        minute: 480,
        hour: 4_800,
    };
    /// Of queries, without the paid feature that allows more.
    pub const QUERIES: Self = Self {
        minute: 120,
        hour: 120,
    };
}

/// What a call is for: what may wait leaves a part of the share to what may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Probes: up to three fifths of the share.
    Probe,
    /// Polls, and reads of tables that may have failed: up to four fifths.
    Poll,
    /// What an open incident needs: all of it.
    Repair,
}

impl Purpose {
    const fn part(self, share: usize) -> usize {
        let part = match self {
            Self::Probe => share * 3 / 5,
            Self::Poll => share * 4 / 5,
            Self::Repair => share,
        };
        // Of a share of one call, all have that one.
        if part == 0 { 1 } else { part }
    }
}

/// How much of one share of one key is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Of which limit: `calls` or `queries`.
    pub limit: &'static str,
    /// In which time: `minute` or `hour`.
    pub window: &'static str,
    /// Calls made in it.
    pub used: usize,
    /// Calls that may still be made in it.
    pub remaining: usize,
}

/// The calls of the last hour with one key.
#[derive(Debug)]
pub struct Quota {
    in_minute: usize,
    in_hour: usize,
    minute: SignedDuration,
    hour: SignedDuration,
    spread: SignedDuration,
    sent: VecDeque<Timestamp>,
}

impl Quota {
    /// Nothing used yet of this share of these limits.
    #[must_use]
    pub fn new(share: Share, limits: KeyLimits) -> Self {
        let KeyLimits { minute, hour } = limits;
        Self {
            in_minute: share.of(minute),
            in_hour: share.of(hour),
            minute: MINUTE / share.faster,
            hour: HOUR / share.faster,
            spread: SPREAD / share.faster,
            sent: VecDeque::new(),
        }
    }

    /// Takes one call, or says when there is room for one.
    pub fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.room(Purpose::Repair, 1, now)?;
        self.sent.push_back(now);
        Ok(())
    }

    /// Whether there is room for this many calls at once, or when there will be. More calls than the part can ever hold may start when all of it is
    /// free.
    pub fn room(
        &mut self,
        purpose: Purpose,
        calls: usize,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        self.forget(now);
        let windows = [(self.hour, self.in_hour), (self.minute, self.in_minute)];
        let free_at = windows.into_iter().filter_map(|(window, share)| {
            let part = purpose.part(share);
            let recent = self.within(window, now);
            let too_many = (recent + calls.min(part)).checked_sub(part + 1)? + 1;
            // This many of the oldest in the window must leave it first.
            let last = self.sent.get(self.sent.len() - recent + too_many - 1)?;
            last.checked_add(window).ok()
        });
        free_at.max().map_or(Ok(()), Err)
    }

    /// How long to wait before this many more calls, so that the rest of the hour's share lasts: no wait while half of it is left.
    pub fn pace(&mut self, purpose: Purpose, calls: usize, now: Timestamp) -> SignedDuration {
        self.forget(now);
        let part = purpose.part(self.in_hour);
        let used = self.within(self.hour, now);
        if used * 2 < part {
            return SignedDuration::ZERO;
        }
        let wait = match self.room(purpose, calls, now) {
            Ok(()) => SignedDuration::ZERO,
            Err(at) => at.duration_since(now),
        };
        let left = i32::try_from(part.saturating_sub(used)).unwrap_or(i32::MAX);
        let calls = i32::try_from(calls).unwrap_or(i32::MAX);
        let spread = self.spread.checked_mul(calls).unwrap_or(self.hour) / left.max(1);
        spread.min(self.hour).max(wait)
    }

    /// How much of it is used, of the limit that has this name.
    pub fn usage(&mut self, limit: &'static str, now: Timestamp) -> [Usage; 2] {
        self.forget(now);
        let windows = [
            ("minute", self.minute, self.in_minute),
            ("hour", self.hour, self.in_hour),
        ];
        windows.map(|(window, length, share)| {
            let used = self.within(length, now);
            let remaining = share.saturating_sub(used);
            Usage {
                limit,
                window,
                used,
                remaining,
            }
        })
    }

    fn forget(&mut self, now: Timestamp) {
        let hour = self.hour;
        let over = |at: &Timestamp| now.duration_since(*at) >= hour;
        while self.sent.front().is_some_and(over) {
            self.sent.pop_front();
        }
    }

    fn within(&self, window: SignedDuration, now: Timestamp) -> usize {
        let newest_first = self.sent.iter().rev();
        newest_first
            .take_while(|at| now.duration_since(**at) < window)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn no_minute_and_no_hour_takes_more_than_the_share() {
        let mut quota = Quota::new(Share::percent(10), KeyLimits::CALLS);
        let mut taken: Vec<i64> = Vec::new();
        for second in 0..3 * 3600 {
            while quota.take(at(second)).is_ok() {
                taken.push(second);
            }
        }
        for second in 0..3 * 3600 {
            let within = |window| {
                let in_window = |at: &&i64| (second..second + window).contains(*at);
                taken.iter().filter(in_window).count()
            };
            assert!(within(60) <= 48 && within(3600) <= 480, "{second}");
        }
        assert_eq!(taken.len(), 3 * 480, "and all of it can be used");
    }

    #[test]
    fn the_time_at_which_there_is_room_is_right() {
        let mut quota = Quota::new(Share::percent(1), KeyLimits::CALLS);
        for call in 0..4 {
            assert_eq!(quota.take(at(call)), Ok(()));
        }
        assert_eq!(quota.take(at(10)), Err(at(60)));
        assert_eq!(quota.take(at(60)), Ok(()));
    }

    #[test]
    fn questions_make_room_for_polls_and_polls_for_repairs() {
        let mut quota = Quota::new(Share::percent(10), KeyLimits::CALLS);
        let mut has_room = |minute: i64, calls: usize| {
            for call in 0..calls {
                let second = minute * 60 + i64::try_from(call).unwrap();
                assert_eq!(quota.take(at(second)), Ok(()));
            }
            let now = at(minute * 60 + 59);
            let all = [Purpose::Probe, Purpose::Poll, Purpose::Repair];
            all.map(|purpose| quota.room(purpose, 1, now).is_ok())
        };
        assert_eq!(has_room(0, 27), [true, true, true]);
        assert_eq!(has_room(1, 29), [false, true, true]);
        assert_eq!(has_room(2, 39), [false, false, true]);
        assert_eq!(has_room(3, 48), [false, false, false]);
    }

    #[test]
    fn the_more_is_used_the_slower_it_continues() {
        let mut quota = Quota::new(Share::percent(10), KeyLimits::CALLS);
        let mut now = 0;
        let mut waits = Vec::new();
        while now < 10 * 3600 {
            let wait = quota.pace(Purpose::Repair, 2, at(now));
            waits.push(wait.as_secs());
            now += wait.as_secs().max(5);
            assert!(quota.take(at(now)).is_ok() && quota.take(at(now)).is_ok());
        }
        assert_eq!(waits[0], 0);
        let last = waits.last().unwrap();
        assert!((10..60).contains(last), "{last}");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_room() {
        let mut quota = Quota::new(Share::percent(1), KeyLimits::CALLS);
        for call in 0..4 {
            assert_eq!(quota.take(at(600 + call)), Ok(()));
        }
        assert!(quota.take(at(0)).is_err());
    }
}
