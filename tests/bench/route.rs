//! Scenario `route`: a message of 400 bytes from one wire to the other in memory, without TLS and the card.
//!
//! Time is informative; instructions say more, and the same on every machine: `valgrind --tool=callgrind
//! --toggle-collect='*InMemory::pass*' target/release/bench route --messages 1000`.

use crate::{
    in_memory::InMemory,
    table::{Figure, figure},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats};
use std::time::{Duration, Instant};

/// Messages before anything is counted: tables and queues get their size.
const WARM_UP: usize = 1000;
/// Messages between two turns of the store's writer, which are not counted.
const GROUP: usize = 100;

pub(crate) fn run(messages: usize) -> Vec<Figure> {
    let (bare, archived) = (
        InMemory::new("<no-store xmlns='urn:xmpp:hints'/>"),
        InMemory::new(""),
    );
    let (bare, archived) = (
        Routed::measure(bare, messages),
        Routed::measure(archived, messages),
    );
    vec![
        figure("route in memory, µs", bare.micros),
        figure("route in memory, allocations", bare.allocations),
        figure("route and queue for both archives, µs", archived.micros),
        figure(
            "route and queue for both archives, allocations",
            archived.allocations,
        ),
    ]
}

/// What one message takes on average.
struct Routed {
    micros: f64,
    allocations: f64,
}

impl Routed {
    fn measure(mut world: InMemory, messages: usize) -> Routed {
        let (mut time, mut allocations) = (Duration::ZERO, 0);
        let groups = messages.div_ceil(GROUP);
        for group in 0..WARM_UP / GROUP + groups {
            let (region, begin) = (Region::new(&INSTRUMENTED_SYSTEM), Instant::now());
            for _ in 0..GROUP {
                world.pass();
            }
            let (
                took,
                Stats {
                    allocations: of_group,
                    reallocations,
                    ..
                },
            ) = (begin.elapsed(), region.change());
            world.settle();
            if group >= WARM_UP / GROUP {
                time += took;
                allocations += of_group + reallocations;
            }
        }
        let messages = (groups * GROUP) as f64;
        Routed {
            micros: time.as_secs_f64() * 1e6 / messages,
            allocations: allocations as f64 / messages,
        }
    }
}
