//! What peers see of a refusal: the conditions of XEP-0060 §11, each with the type of its section.

use crate::pubsub::Refusal;
use xmpp::StanzaError;

macro_rules! detail {
    ($error:ident, $condition:literal) => {
        StanzaError::$error.with_detail(concat!(
            "<",
            $condition,
            " xmlns='http://jabber.org/protocol/pubsub#errors'/>"
        ))
    };
}

macro_rules! unsupported {
    ($feature:literal) => {
        StanzaError::FEATURE_NOT_IMPLEMENTED.with_detail(concat!(
            "<unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature='",
            $feature,
            "'/>"
        ))
    };
}

/// There are clients that look for the number alone before they publish their first OMEMO keys.
const NOT_FOUND: StanzaError = StanzaError::ITEM_NOT_FOUND.with_code(404);
pub(super) const NODE_REQUIRED: StanzaError = detail!(BAD_REQUEST, "nodeid-required");
pub(super) const ITEM_REQUIRED: StanzaError = detail!(BAD_REQUEST, "item-required");
pub(super) const JID_REQUIRED: StanzaError = detail!(BAD_REQUEST, "jid-required");
pub(super) const INVALID_JID: StanzaError = detail!(BAD_REQUEST, "invalid-jid");
pub(super) const INVALID_OPTIONS: StanzaError = detail!(BAD_REQUEST, "invalid-options");
pub(super) const INVALID_PAYLOAD: StanzaError = detail!(BAD_REQUEST, "invalid-payload");
/// §6.2.3.5: there are no subscription ids.
pub(super) const INVALID_SUBID: StanzaError = detail!(NOT_ACCEPTABLE, "invalid-subid");
/// §6.3.4.2, which is `modify` where §6.2.3.2 is `cancel`.
pub(super) const NOT_SUBSCRIBED: StanzaError = StanzaError {
    type_: "modify",
    ..detail!(UNEXPECTED_REQUEST, "not-subscribed")
};
const UNSUBSCRIBED: StanzaError = StanzaError {
    type_: "cancel",
    ..NOT_SUBSCRIBED
};
const TOO_MANY: StanzaError = StanzaError {
    type_: "wait",
    ..detail!(POLICY_VIOLATION, "too-many-subscriptions")
};

/// The condition for a refusal.
pub(in crate::features) fn condition(refusal: Refusal) -> StanzaError {
    match refusal {
        Refusal::NoNode | Refusal::NoItem => NOT_FOUND,
        Refusal::Forbidden => StanzaError::FORBIDDEN,
        Refusal::PresenceRequired => detail!(NOT_AUTHORIZED, "presence-subscription-required"),
        Refusal::NotInGroup => detail!(NOT_AUTHORIZED, "not-in-roster-group"),
        Refusal::Closed => detail!(NOT_ALLOWED, "closed-node"),
        Refusal::NotSubscribed => detail!(NOT_AUTHORIZED, "not-subscribed"),
        Refusal::Unsubscribed => UNSUBSCRIBED,
        Refusal::Pending => detail!(NOT_AUTHORIZED, "pending-subscription"),
        Refusal::SubscriptionsOff => unsupported!("subscribe"),
        Refusal::NodeExists => StanzaError::CONFLICT,
        Refusal::BatchTooBig => detail!(NOT_ALLOWED, "max-items-exceeded"),
        Refusal::NodeFull => detail!(CONFLICT, "node-full"),
        Refusal::NoRoom => {
            StanzaError::NOT_ALLOWED.with_text("there is no room for more of this kind")
        }
        Refusal::TooManySubscriptions => TOO_MANY,
        Refusal::TooBig => detail!(NOT_ACCEPTABLE, "payload-too-big"),
        Refusal::BadName => StanzaError::NOT_ACCEPTABLE.with_text("a name is empty or too long"),
        Refusal::ItemRequired => ITEM_REQUIRED,
        Refusal::PayloadRequired => detail!(BAD_REQUEST, "payload-required"),
        Refusal::ItemForbidden => detail!(BAD_REQUEST, "item-forbidden"),
        Refusal::BadPayload => INVALID_PAYLOAD,
        Refusal::Precondition => detail!(CONFLICT, "precondition-not-met"),
        Refusal::NotServed | Refusal::LastOwner => StanzaError::NOT_ACCEPTABLE,
        Refusal::AccessNotServed => detail!(NOT_ACCEPTABLE, "unsupported-access-model"),
        Refusal::NotPersistent => unsupported!("persistent-items"),
        Refusal::InvalidJid => INVALID_JID,
        Refusal::Unavailable => StanzaError::RESOURCE_CONSTRAINT,
    }
}
