//! One page of the list of sources, as PostHog sends it.

use posthog_simulator::{Answer, Clock, Request, Simulator};

use super::{Mix, Size, key, scenario};

/// The moment at which all of it is true.
pub const NOW: &str = "2026-10-01T00:00:00Z";

/// A page of 100 sources with 200 tables each, 7 MB: as long as the fields that the simulator sends; PostHog's have more.
pub fn large() -> Vec<u8> {
    let size = Size {
        project: 1,
        sources: 100,
        tables: 200,
    };
    let clock = Clock::Manual(NOW.parse().unwrap());
    let mut simulator = Simulator::from_scenario(&scenario(&[size], Mix::Usual), clock).unwrap();
    let path = "/api/projects/1/external_data_sources/?limit=100&offset=0";
    match simulator.handle(&Request::new("GET", path, &key(1))).answer {
        Answer::Response(response) if response.status == 200 => response.body,
        other => panic!("{other:?}"),
    }
}
