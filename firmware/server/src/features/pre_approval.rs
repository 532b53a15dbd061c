//! RFC 6121 §3.4: a subscription can be approved before it is asked for. The machine is in
//! `roster/subscription.rs`; this tells clients that it is there.

use crate::feature::{Feature, Spec};

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Rfc(6121),
    stream_features: Some(|_, _| Some("<sub xmlns='urn:xmpp:features:pre-approval'/>".into())),
    ..Feature::NONE
};
