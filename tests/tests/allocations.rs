//! How often a message makes the server allocate on its way through memory: a number that is the same on
//! every machine, where a time is not. Whoever changes it sees so here, in either direction.

#[path = "../bench/in_memory.rs"]
mod in_memory;

use expect_test::{Expect, expect};
use in_memory::InMemory;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, fmt::Write};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Messages of one count: a queue that doubles now and then is no part of what every message costs.
const MESSAGES: usize = 100;

// One test: the counters are those of the whole process.
#[test]
fn a_message_of_400_bytes_on_its_way_through_memory() {
    let mut report = String::new();
    for (what, payload) in [
        ("routed and not kept", "<no-store xmlns='urn:xmpp:hints'/>"),
        ("routed and queued for both archives", ""),
    ] {
        let mut world = InMemory::new(payload);
        count(&mut world);
        let _ = writeln!(report, "{what}: {}", count(&mut world));
    }
    // The goal is 6 for routing alone; reading it off the wire is two more.
    check(
        &report,
        expect![[r"
            routed and not kept: 8
            routed and queued for both archives: 30
        "]],
    );
}

/// Allocations per message, repeated ones (growing a buffer) included.
fn count(world: &mut InMemory) -> usize {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    for _ in 0..MESSAGES {
        world.pass();
    }
    let stats = region.change();
    world.settle();
    (stats.allocations + stats.reallocations) / MESSAGES
}

fn check(report: &str, expected: Expect) {
    expected.assert_eq(report);
}
