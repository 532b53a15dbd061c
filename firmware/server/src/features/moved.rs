//! XEP-0283: Moved. A contact under a new address is let in once the old account says that it is the same
//! person. What comes of it is in `presence/moved.rs`; this hands over what the old account says.

use crate::{
    feature::{Feature, Spec},
    presence::moved,
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(283, "0.2.0", "Moved"),
    answered: Some(moved::answered),
    ..Feature::NONE
};
