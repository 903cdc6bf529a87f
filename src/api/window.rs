//! Windows: recurring times in a time zone.

#![allow(
    clippy::doc_markdown,
    reason = "doc comments become plain text in `kubectl explain`"
)]

use croner::{Cron, errors::CronError};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    cel::between,
    duration::{DurationError, DurationText},
};

/// A recurring time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct WindowSpec {
    /// Whether the operator may start actions in it.
    pub kind: WindowKind,
    /// When it begins, as five fields of cron: minute, hour, day of the month, month, day of the week. For example
    /// `0 8 * * 1-5`: at eight from Monday to Friday.
    #[schemars(length(min = 9, max = 64))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+$')")
        .message("schedule must be five fields of cron, for example 0 8 * * 1-5"))]
    pub schedule: String,
    /// How long it lasts, from 1m to 168h.
    #[schemars(extend("x-kubernetes-validations" = between("duration", "1m", "168h", "10h")))]
    pub duration: DurationText,
    /// The time zone of the schedule, by its name in the IANA database, for example Europe/Berlin. Default: UTC.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// Whether a window allows or denies actions.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The operator may start actions in it.
    Allow,
    /// The operator may not start actions in it.
    Deny,
}

/// A window that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Its schedule is not a cron schedule.
    #[error("schedule {text:?}: {error}")]
    Schedule {
        /// The schedule as the user wrote it.
        text: String,
        /// What is wrong with it.
        error: CronError,
    },
    /// Its duration is not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// Its time zone is unknown.
    #[error("timeZone {0:?} is not in the IANA database: write for example Europe/Berlin or UTC")]
    TimeZone(String),
}

/// A window whose schedule and time zone have been read.
#[derive(Debug, Clone)]
pub struct Window {
    /// Whether actions may be started in it.
    pub kind: WindowKind,
    schedule: Cron,
    length: SignedDuration,
    time_zone: TimeZone,
}

impl Window {
    pub(super) fn new(window: &WindowSpec) -> Result<Self, WindowError> {
        let WindowSpec {
            kind,
            schedule,
            duration,
            time_zone,
        } = window;
        Ok(Self {
            kind: *kind,
            schedule: schedule.parse().map_err(|error| WindowError::Schedule {
                text: schedule.clone(),
                error,
            })?,
            length: duration.read("remediation.windows[].duration")?,
            time_zone: TimeZone::get(time_zone)
                .map_err(|_| WindowError::TimeZone(time_zone.clone()))?,
        })
    }

    /// When the window that contains `now` ends; none if `now` is outside the window.
    #[must_use]
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        let here = now.to_zoned(self.time_zone.clone());
        let began = self.schedule.find_previous_occurrence(&here, true).ok()?;
        let end = began.timestamp().checked_add(self.length).ok()?;
        (now < end).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(schedule: &str, duration: &str, time_zone: &str) -> Result<Window, WindowError> {
        Window::new(&WindowSpec {
            kind: WindowKind::Deny,
            schedule: schedule.to_owned(),
            duration: duration.into(),
            time_zone: time_zone.to_owned(),
        })
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_follows_the_clock_of_its_place_also_when_that_is_moved() {
        let office = window("0 8 * * 1-5", "10h", "Europe/Berlin").unwrap();
        for (now, until) in [
            // Thursday, summer time: eight in Berlin is six in UTC.
            ("2026-10-01T05:59:59Z", None),
            ("2026-10-01T06:00:00Z", Some("2026-10-01T16:00:00Z")),
            ("2026-10-01T15:59:59Z", Some("2026-10-01T16:00:00Z")),
            ("2026-10-01T16:00:00Z", None),
            // Saturday.
            ("2026-10-03T09:00:00Z", None),
            // Monday, winter time.
            ("2026-10-26T06:59:59Z", None),
            ("2026-10-26T07:00:00Z", Some("2026-10-26T17:00:00Z")),
        ] {
            assert_eq!(office.open_until(at(now)), until.map(at), "{now}");
        }
    }

    #[test]
    fn a_window_over_midnight_is_open_on_both_days() {
        let night = window("0 22 * * *", "8h", "UTC").unwrap();
        let end = Some(at("2026-10-02T06:00:00Z"));
        assert_eq!(night.open_until(at("2026-10-01T23:00:00Z")), end);
        assert_eq!(night.open_until(at("2026-10-02T05:00:00Z")), end);
        assert_eq!(night.open_until(at("2026-10-02T06:00:00Z")), None);
    }

    #[test]
    fn what_cannot_be_read_says_what_is_wrong() {
        let error = window("0 25 * * *", "1h", "UTC").unwrap_err().to_string();
        assert!(error.contains("schedule \"0 25 * * *\""), "{error}");
        let error = window("0 8 * * *", "1h", "Europe/Berlim")
            .unwrap_err()
            .to_string();
        assert!(error.contains("Europe/Berlim"), "{error}");
    }
}
