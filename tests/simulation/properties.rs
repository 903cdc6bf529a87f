//! For any behaviour of a run and any death of the operator: no run is cancelled that was alive within the last twelve hours.

use jiff::{SignedDuration, Timestamp};
use posthog_simulator::{Behaviour, EffectKind, RunPlan};
use proptest::prelude::*;

use crate::{
    faults::Faults,
    scenarios::{ENFORCE, STUCK},
    world::{World, start},
};

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// A line appears in the run's log.
    Line,
    /// The run reads for a moment, then hangs again.
    Rows,
    /// The operator is killed and started again.
    Restart,
    /// Nothing for a while.
    Silence,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => Just(Happening::Line),
        3 => Just(Happening::Rows),
        2 => Just(Happening::Restart),
        1 => Just(Happening::Silence),
    ]
}

/// Makes it happen; true if the run moved.
fn make_happen(world: &mut World, what: Happening, rows: &mut u64) -> bool {
    let id = world.schema_id("public.orders");
    match what {
        Happening::Line => world
            .simulator
            .lock()
            .unwrap()
            .write_log(&id, "Source supports partial data loading")
            .is_ok(),
        Happening::Rows => {
            *rows += 1;
            let hangs = Behaviour::Hangs {
                after: SignedDuration::ZERO,
                rows: *rows,
                swept_after: None,
            };
            world
                .simulator
                .lock()
                .unwrap()
                .change_run(&id, RunPlan::from(hangs))
                .is_ok()
        }
        Happening::Restart => {
            world.restart();
            false
        }
        Happening::Silence => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_run_is_cancelled_that_moved_within_the_last_twelve_hours(
        happenings in prop::collection::vec((1_i64..800, happening()), 1..16),
    ) {
        let mut world = World::new(STUCK, ENFORCE, Faults::default());
        let mut moved: Timestamp = start();
        let mut rows = 500;
        for (minutes, what) in happenings {
            world.run_for(SignedDuration::from_mins(minutes));
            let cancelled = world.simulator.lock().unwrap().effects_of(EffectKind::Cancelled).first().map(|effect| effect.at);
            if let Some(at) = cancelled {
                let silent = at.duration_since(moved);
                prop_assert!(silent >= SignedDuration::from_hours(12), "cancelled after {silent} without a sign of life");
                return Ok(());
            }
            if make_happen(&mut world, what, &mut rows) {
                moved = world.now();
            }
        }
        // And a run that stays silent is found in the end.
        world.run_for(SignedDuration::from_hours(15));
        prop_assert_eq!(world.count("cancel"), 1);
    }
}
