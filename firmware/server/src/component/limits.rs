//! Limits of external components, with the reason for each number (house rule 8).

/// Milliseconds that messages wait for an external component that is not connected, until those senders are
/// told who are there, and whoever writes from then on: long enough to update a gateway. What nobody would
/// hear of goes on waiting, as long as for another server ([`crate::s2s::limits::REMOTE_HELD_MS_MAX`]).
pub const COMPONENT_ABSENT_MS_MAX: u64 = 600_000;
/// Milliseconds that what was written may have been on its way when a component closed its stream in order:
/// the way to another machine and back over a poor line. It is sent again.
pub const COMPONENT_CROSSING_MS: u64 = 250;
/// Requests sent in the name of one account by components that wait for an answer (XEP-0356): a gateway that
/// starts asks for a few things in everybody's name.
pub const ASKED_ON_BEHALF_MAX: usize = 64;
/// Milliseconds in which their answers come, or the component is told that they do not: other servers have
/// half of it to be reached.
pub const ON_BEHALF_MS_MAX: u64 = 60_000;
/// Available resources of which one component is told once each: those of a household and of all its
/// contacts, many times over.
pub const TOLD_MAX: usize = 16_384;
