//! How often a message makes the server allocate on its way through memory: a number that is the same on
//! every machine, where a time is not. Whoever changes it sees so here, in either direction.

#[path = "../bench/in_memory.rs"]
mod in_memory;

#[path = "../bench/in_room.rs"]
mod in_room;

use expect_test::{Expect, expect};
use in_memory::InMemory;
use in_room::{InRoom, OCCUPANTS_MAX};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, fmt::Write};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Rooms of one count.
const ROOMS: usize = 100;

/// Messages of one count: a queue that doubles now and then is no part of what every message costs.
const MESSAGES: usize = 100;

// One test: the counters are those of the whole process.
#[test]
fn what_messages_and_rooms_take_in_memory() {
    a_message_of_400_bytes_on_its_way();
    a_room_of_200();
}

fn a_message_of_400_bytes_on_its_way() {
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

/// What a room with somebody in it keeps, and each occupant more (less than 4 KB and 400 bytes); how often
/// somebody's message makes the server allocate for each who gets it, and how often somebody who enters does,
/// for each presence: of everybody to the newcomer, and of the newcomer to everybody.
fn a_room_of_200() {
    let mut room = InRoom::new();
    room.enter();
    room.settle();
    room.pass();
    room.settle();
    room.break_disk();
    let mut held = Region::new(&INSTRUMENTED_SYSTEM);
    let kept = |held: &mut Region<'_, System>| {
        let change = held.change_and_reset();
        change.bytes_allocated as isize - change.bytes_deallocated as isize
    };
    (0..ROOMS).for_each(|number| room.make(number));
    let each_room = kept(&mut held) / ROOMS as isize;
    for _ in room.present()..OCCUPANTS_MAX {
        room.enter();
    }
    room.settle();
    let each = kept(&mut held) / (OCCUPANTS_MAX as isize - 1);
    let mut room = InRoom::new();
    for _ in 1..OCCUPANTS_MAX {
        room.enter();
    }
    room.settle();
    let presence = allocations(|| room.welcome()) / (2 * OCCUPANTS_MAX) as f64;
    room.settle();
    room.pass();
    room.settle();
    let delivery = allocations(|| room.pass()) / OCCUPANTS_MAX as f64;
    room.settle();
    check(
        &format!(
            "a room with one occupant, bytes: {each_room}\n\
             each further occupant, bytes: {each}\n\
             allocations per delivery: {delivery:.1}\n\
             allocations per presence when somebody enters: {presence:.1}\n"
        ),
        expect![[r"
            a room with one occupant, bytes: 3658
            each further occupant, bytes: 245
            allocations per delivery: 2.2
            allocations per presence when somebody enters: 4.7
        "]],
    );
}

/// Allocations per message.
fn count(world: &mut InMemory) -> usize {
    let allocations = allocations(|| (0..MESSAGES).for_each(|_| world.pass()));
    world.settle();
    allocations as usize / MESSAGES
}

/// Allocations of some work, repeated ones (growing a buffer) included.
fn allocations(work: impl FnOnce()) -> f64 {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    work();
    let change = region.change();
    (change.allocations + change.reallocations) as f64
}

fn check(report: &str, expected: Expect) {
    expected.assert_eq(report);
}
