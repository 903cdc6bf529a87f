//! Ids that look like PostHog's, from one counter for each kind, so that the same calls give the same ids.

/// What an id is for; written into it, so that a reader of a log recognizes its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Source,
    Schema,
    Job,
    Table,
    Run,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Ids {
    given: [u64; 5],
}

impl Ids {
    pub(crate) fn next(&mut self, kind: Kind) -> String {
        let index = kind as usize;
        let mut last = 0;
        if let Some(given) = self.given.get_mut(index) {
            *given += 1;
            last = *given;
        }
        format!("0196f0aa-{:04x}-7000-8000-{last:012x}", index + 1)
    }
}
