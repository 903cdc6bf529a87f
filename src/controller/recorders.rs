//! Recorders of events that do not grow without end.

use std::sync::{Mutex, PoisonError};

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};

/// Events that one recorder publishes. It remembers each for 6 minutes, to count what happens again, takes some 3 KiB for each, never gives
/// that back, and looks through all of them whenever it publishes: at the start, 10,000 policies have an event each.
const EVENTS: usize = 100;

/// Returns a recorder, and a new one after 100 events: a repetition across that boundary is a new event.
pub struct Recorders {
    client: Client,
    reporter: Reporter,
    current: Mutex<(Recorder, usize)>,
}

impl Recorders {
    /// Recorders that publish through `client`, in the name of `reporter`.
    #[must_use]
    pub fn new(client: Client, reporter: Reporter) -> Self {
        let first = Recorder::new(client.clone(), reporter.clone());
        Self {
            client,
            reporter,
            current: Mutex::new((first, 0)),
        }
    }

    /// The one for the next event.
    #[must_use]
    pub fn next(&self) -> Recorder {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (recorder, published) = &mut *current;
        if *published >= EVENTS {
            *recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            *published = 0;
        }
        *published += 1;
        recorder.clone()
    }
}
