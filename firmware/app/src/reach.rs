//! What keeps the house reachable, wired together: services that do not know one another.

pub(crate) mod acme;
