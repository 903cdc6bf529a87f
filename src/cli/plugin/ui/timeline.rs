//! Incidents and calls of a policy over time: where bars and marks are, in percent of the width.

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{
        proposal::Proposal,
        status::{Fate, HistoryEntry, Incident, Step},
    },
    cli::{plugin::view::PolicyView, report::minute},
};

/// The shortest time that is shown.
const SHORTEST: SignedDuration = SignedDuration::from_mins(10);
/// How many times are written below.
const TICKS: i32 = 4;

/// The drawing.
pub(super) struct Timeline {
    pub rows: Vec<Row>,
    pub ticks: Vec<Tick>,
    /// Where the present is.
    pub now: Percent,
}

/// One incident, proposal, or the history.
pub(super) struct Row {
    pub title: String,
    pub bars: Vec<Bar>,
    pub marks: Vec<Mark>,
    /// Everything in words, oldest first.
    pub said: Vec<String>,
}

/// A period.
pub(super) struct Bar {
    pub from: Percent,
    pub width: Percent,
    pub class: &'static str,
}

/// A moment.
pub(super) struct Mark {
    pub at: Percent,
    pub class: &'static str,
    pub said: String,
}

/// A time below the drawing.
pub(super) struct Tick {
    pub at: Percent,
    pub anchor: &'static str,
    pub said: String,
}

/// A share of the width, as SVG writes it.
pub(super) struct Percent(f64);

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2}%", self.0)
    }
}

/// The period that is shown.
struct Scale {
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
}

impl Timeline {
    /// What `view` shows at `now`; none if there is nothing to draw.
    pub(super) fn new(view: &PolicyView<'_>, now: Timestamp) -> Option<Self> {
        let scale = Scale::new(view, now)?;
        let proposals = [&view.waiting, &view.in_progress, &view.ended];
        let proposals = proposals.into_iter().flatten();
        let mut rows: Vec<Row> = view
            .incidents
            .iter()
            .map(|one| incident(one, &scale))
            .collect();
        rows.extend(proposals.map(|one| proposal(one, &scale)));
        rows.extend(history(view.history, &scale));
        Some(Self {
            rows,
            ticks: scale.ticks(),
            now: scale.place(now),
        })
    }
}

impl Scale {
    /// From the first thing to the last deadline; the future gets at most a quarter of the width.
    fn new(view: &PolicyView<'_>, now: Timestamp) -> Option<Self> {
        let opened = view.incidents.iter().map(|one| one.opened_at);
        let created = [&view.waiting, &view.in_progress, &view.ended];
        let created = created.into_iter().flatten().map(|one| one.created_at);
        let past = view.history.iter().map(|entry| entry.at);
        let first = opened.chain(created).chain(past).min()?;
        let before = now.duration_since(first).max(SHORTEST);
        let deadlines = view.incidents.iter().filter_map(|one| one.deadline);
        let expiries = view.waiting.iter().map(|one| one.expires_at);
        let last = deadlines.chain(expiries).max().unwrap_or(now);
        let after = last
            .duration_since(now)
            .clamp(SignedDuration::ZERO, before / 3);
        Some(Self {
            from: now.checked_sub(before).unwrap_or(first),
            to: now.checked_add(after).unwrap_or(now),
            now,
        })
    }

    /// Where `at` is; what lies outside is at the edge.
    fn place(&self, at: Timestamp) -> Percent {
        let whole = self.to.duration_since(self.from).as_secs_f64();
        let part = at.duration_since(self.from).as_secs_f64();
        Percent((part / whole * 100.0).clamp(0.0, 100.0))
    }

    fn bar(&self, from: Timestamp, to: Timestamp, class: &'static str) -> Bar {
        let (from, to) = (self.place(from), self.place(to));
        Bar {
            width: Percent((to.0 - from.0).max(0.4)),
            from,
            class,
        }
    }

    fn mark(&self, at: Timestamp, class: &'static str, what: &str) -> Mark {
        Mark {
            at: self.place(at),
            class,
            said: format!("{}: {what}", minute(at)),
        }
    }

    fn ticks(&self) -> Vec<Tick> {
        let whole = self.to.duration_since(self.from);
        let days = whole > SignedDuration::from_hours(24);
        let tick = |number: i32| {
            let at = self.from.checked_add(whole / TICKS * number);
            let at = at.unwrap_or(self.to);
            let format = if days { "%d %b" } else { "%H:%M" };
            Tick {
                at: self.place(at),
                anchor: match number {
                    0 => "start",
                    TICKS => "end",
                    _ => "middle",
                },
                said: at.strftime(format).to_string(),
            }
        };
        (0..=TICKS).map(tick).collect()
    }
}

fn incident(incident: &Incident, scale: &Scale) -> Row {
    let recovered = incident.healthy_since;
    let mut bars = vec![scale.bar(
        incident.opened_at,
        recovered.unwrap_or(scale.now),
        if incident.step == Step::Escalated {
            "escalated"
        } else {
            "open"
        },
    )];
    bars.extend(recovered.map(|at| scale.bar(at, scale.now, "recovered")));
    let deadline = incident.deadline.filter(|at| *at > scale.now);
    bars.extend(deadline.map(|at| scale.bar(scale.now, at, "ahead")));
    let mut marks = vec![scale.mark(incident.opened_at, "opened", "opened")];
    marks.extend(incident.sends.iter().map(|send| {
        let fate = ended(send.fate);
        let what = format!("{:?}, {fate}", send.call);
        scale.mark(send.started_at, class(send.fate), &what)
    }));
    marks.extend(recovered.map(|at| scale.mark(at, "good", "healthy again")));
    marks.extend(deadline.map(|at| scale.mark(at, "deadline", "deadline of this step")));
    row(
        format!("{} {}", incident.source, incident.schema),
        bars,
        marks,
    )
}

fn proposal(proposal: &Proposal, scale: &Scale) -> Row {
    let started = proposal.started_steps();
    let last = started.iter().filter_map(|step| step.finished_at).max();
    let end = if proposal.is_over() {
        last.unwrap_or(proposal.created_at)
    } else {
        scale.now
    };
    let approved = proposal.approval.as_ref();
    let mut bars = vec![scale.bar(
        proposal.created_at,
        approved.map_or(end, |approval| approval.observed_at),
        "waiting",
    )];
    bars.extend(approved.map(|approval| scale.bar(approval.observed_at, end, "open")));
    let mut marks = vec![scale.mark(proposal.created_at, "opened", "proposed")];
    marks.extend(approved.map(|approval| {
        let what = format!("approved by {}", approval.by);
        scale.mark(approval.observed_at, "good", &what)
    }));
    marks.extend(started.iter().map(|step| {
        let what = format!("{:?}, {}", step.call, ended(step.fate));
        scale.mark(step.started_at, class(step.fate), &what)
    }));
    if proposal.is_open() {
        bars.push(scale.bar(scale.now, proposal.expires_at, "ahead"));
        marks.push(scale.mark(proposal.expires_at, "deadline", "expires"));
    }
    let title = format!(
        "{} of {}: {}",
        proposal.action.as_str(),
        proposal.title(),
        proposal.phase.as_str()
    );
    row(title, bars, marks)
}

fn history(entries: &[HistoryEntry], scale: &Scale) -> Option<Row> {
    let oldest_first = entries.iter().rev();
    let marks = oldest_first.map(|entry| scale.mark(entry.at, "note", &entry.what));
    let marks: Vec<Mark> = marks.collect();
    (!marks.is_empty()).then(|| {
        row(
            "Last actions and observations".to_owned(),
            Vec::new(),
            marks,
        )
    })
}

fn row(title: String, bars: Vec<Bar>, marks: Vec<Mark>) -> Row {
    let said = marks.iter().map(|mark| mark.said.clone()).collect();
    Row {
        title,
        bars,
        marks,
        said,
    }
}

const fn class(fate: Option<Fate>) -> &'static str {
    match fate {
        Some(Fate::Accepted) => "accepted",
        Some(Fate::Refused | Fate::NotSent) => "refused",
        Some(Fate::Unknown) | None => "unknown",
    }
}

const fn ended(fate: Option<Fate>) -> &'static str {
    match fate {
        Some(Fate::Accepted) => "accepted",
        Some(Fate::Refused) => "refused",
        Some(Fate::NotSent) => "not sent",
        Some(Fate::Unknown) | None => "outcome unknown",
    }
}
