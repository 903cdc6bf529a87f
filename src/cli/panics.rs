//! A panic is a line of the log, in its format.

use std::panic::{self, PanicHookInfo};

use crate::posthog::redact;

/// Longest message that is logged, in characters.
const CAP: usize = 400;

/// From now on, a panic of any thread is logged.
pub(super) fn are_logged() {
    panic::set_hook(Box::new(log));
}

fn log(panicked: &PanicHookInfo<'_>) {
    let place = panicked.location().map(ToString::to_string);
    tracing::error!(
        "bug at {}: {}. Please report it",
        place.as_deref().unwrap_or("an unknown place"),
        redact::text(panicked.payload_as_str().unwrap_or("no message"), CAP)
    );
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_an_object_of_a_json_log_that_names_its_place() {
        let (lines, before) = (Lines::default(), panic::take_hook());
        let to = lines.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true);
        let log = log.with_writer(move || to.clone()).finish();
        are_logged();
        tracing::subscriber::with_default(log, || {
            panic::catch_unwind(|| panic!("no table {}", 7)).unwrap_err();
        });
        panic::set_hook(before);
        let line: serde_json::Value = serde_json::from_slice(&lines.0.lock().unwrap()).unwrap();
        assert_eq!(line["level"], "ERROR");
        let said = line["message"].as_str().unwrap();
        assert!(said.starts_with("bug at src/cli/panics.rs:"), "{said}");
        assert!(said.ends_with(": no table 7. Please report it"), "{said}");
    }
}
