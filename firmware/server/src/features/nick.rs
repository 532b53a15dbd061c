//! XEP-0172: User Nickname, the same as that of the card (§3). And what else people say of themselves in
//! events that are nothing but events (XEP-0163): mood, activity, tune.
//!
//! State: `crate::identity` for nicknames.

use crate::{
    feature::{Feature, Spec},
    identity,
};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(172, "1.1", "User Nickname"),
    item_changed: Some(|cx, change| {
        if change.node == identity::NICK {
            identity::nick_changed(cx);
        }
    }),
    ..Feature::NONE
};

pub(super) const MOOD_FEATURE: Feature = Feature {
    spec: Spec::Xep(107, "1.2.2", "User Mood"),
    ..Feature::NONE
};

pub(super) const ACTIVITY_FEATURE: Feature = Feature {
    spec: Spec::Xep(108, "1.3", "User Activity"),
    ..Feature::NONE
};

pub(super) const TUNE_FEATURE: Feature = Feature {
    spec: Spec::Xep(118, "1.3.0", "User Tune"),
    ..Feature::NONE
};
