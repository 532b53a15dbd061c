//! The subscription state machine (RFC 6121 §3 and appendix A), row by row.

use serde::{Deserialize, Serialize};

/// The state between an account and one contact. The nine states of appendix A.1 are combinations of the
/// first four.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    /// The account sees the contact's presence.
    pub(crate) to: bool,
    /// The contact sees the account's presence.
    pub(crate) from: bool,
    /// The account asked and waits ("pending out").
    pub(crate) ask: bool,
    /// The contact asked and waits ("pending in").
    pub(crate) pending_in: bool,
    /// A request of the contact is answered with yes before it comes (§3.4).
    pub(crate) approved: bool,
}

/// The four types of presence that manage subscriptions (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Subscribe,
    Unsubscribe,
    Subscribed,
    Unsubscribed,
}

/// What becomes of a stanza that came in from the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inbound {
    pub(crate) state: Subscription,
    pub(crate) deliver: bool,
    /// Answered at once in the account's name.
    pub(crate) reply: Option<Verb>,
}

impl Verb {
    pub(crate) fn parse(type_: &str) -> Option<Verb> {
        Some(match type_ {
            "subscribe" => Verb::Subscribe,
            "unsubscribe" => Verb::Unsubscribe,
            "subscribed" => Verb::Subscribed,
            "unsubscribed" => Verb::Unsubscribed,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Subscribe => "subscribe",
            Verb::Unsubscribe => "unsubscribe",
            Verb::Subscribed => "subscribed",
            Verb::Unsubscribed => "unsubscribed",
        }
    }
}

impl Subscription {
    /// The value of the attribute `subscription` (§2.1.2.5).
    pub(crate) fn name(self) -> &'static str {
        match (self.to, self.from) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        }
    }

    /// The account's own client sent this (appendix A.2): the new state, and whether the stanza is routed.
    pub(crate) fn outbound(self, verb: Verb) -> (Subscription, bool) {
        match verb {
            Verb::Subscribe => (
                Subscription {
                    ask: self.ask || !self.to,
                    ..self
                },
                true,
            ),
            Verb::Unsubscribe => (
                Subscription {
                    to: false,
                    ask: false,
                    ..self
                },
                true,
            ),
            Verb::Subscribed if self.pending_in => (
                Subscription {
                    from: true,
                    pending_in: false,
                    ..self
                },
                true,
            ),
            Verb::Subscribed if self.from => (self, false),
            Verb::Subscribed => (
                Subscription {
                    approved: true,
                    ..self
                },
                false,
            ),
            Verb::Unsubscribed => {
                let state = Subscription {
                    from: false,
                    pending_in: false,
                    approved: false,
                    ..self
                };
                (state, self.from || self.pending_in)
            }
        }
    }

    /// The contact sent this (appendix A.3).
    pub(crate) fn inbound(self, verb: Verb) -> Inbound {
        let ignored = Inbound {
            state: self,
            deliver: false,
            reply: None,
        };
        match verb {
            // Table 6, note 2: a lost answer is repeated; note 1: a pre-approval answers.
            Verb::Subscribe if self.from => Inbound {
                reply: Some(Verb::Subscribed),
                ..ignored
            },
            Verb::Subscribe if self.approved => Inbound {
                state: Subscription {
                    from: true,
                    pending_in: false,
                    ..self
                },
                reply: Some(Verb::Subscribed),
                ..ignored
            },
            Verb::Subscribe if self.pending_in => ignored,
            Verb::Subscribe => Inbound {
                state: Subscription {
                    pending_in: true,
                    ..self
                },
                deliver: true,
                reply: None,
            },
            Verb::Unsubscribe if self.from || self.pending_in => Inbound {
                state: Subscription {
                    from: false,
                    pending_in: false,
                    ..self
                },
                deliver: true,
                reply: Some(Verb::Unsubscribed),
            },
            Verb::Subscribed if self.ask => Inbound {
                state: Subscription {
                    to: true,
                    ask: false,
                    ..self
                },
                deliver: true,
                reply: None,
            },
            Verb::Unsubscribed if self.ask || self.to => Inbound {
                state: Subscription {
                    to: false,
                    ask: false,
                    ..self
                },
                deliver: true,
                reply: None,
            },
            Verb::Unsubscribe | Verb::Subscribed | Verb::Unsubscribed => ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nine states of appendix A.1, in its order.
    const STATES: [&str; 9] = [
        "None",
        "None+Out",
        "None+In",
        "None+Out+In",
        "To",
        "To+In",
        "From",
        "From+Out",
        "Both",
    ];

    fn state(name: &str) -> Subscription {
        let has = |part: &str| name.split('+').any(|p| p == part);
        Subscription {
            to: has("To") || has("Both"),
            from: has("From") || has("Both"),
            ask: has("Out"),
            pending_in: has("In"),
            approved: false,
        }
    }

    fn name(subscription: Subscription) -> String {
        let Subscription {
            to,
            from,
            ask,
            pending_in,
            approved,
        } = subscription;
        let mut name = match (to, from) {
            (false, false) => "None",
            (true, false) => "To",
            (false, true) => "From",
            (true, true) => "Both",
        }
        .to_owned();
        for (is, part) in [(ask, "+Out"), (pending_in, "+In"), (approved, "+Approved")] {
            name += if is { part } else { "" };
        }
        name
    }

    /// Rows: (routed, new state), one for each of [`STATES`]; "=" is no state change.
    fn outbound(verb: Verb, rows: [(bool, &str); 9]) {
        for (from, (route, to)) in STATES.into_iter().zip(rows) {
            let to = if to == "=" { from } else { to };
            let (new, routed) = state(from).outbound(verb);
            assert_eq!(
                (name(new).as_str(), routed),
                (to, route),
                "{verb:?} in state {from}"
            );
        }
    }

    /// Rows: (delivered, new state, reply).
    fn inbound(verb: Verb, rows: [(bool, &str, Option<Verb>); 9]) {
        for (from, (deliver, to, reply)) in STATES.into_iter().zip(rows) {
            let to = if to == "=" { from } else { to };
            let got = state(from).inbound(verb);
            assert_eq!(
                (name(got.state).as_str(), got.deliver, got.reply),
                (to, deliver, reply),
                "{verb:?} in state {from}"
            );
        }
    }

    #[test]
    fn table_2_outbound_subscribe() {
        outbound(
            Verb::Subscribe,
            [
                (true, "None+Out"),
                (true, "="),
                (true, "None+Out+In"),
                (true, "="),
                (true, "="),
                (true, "="),
                (true, "From+Out"),
                (true, "="),
                (true, "="),
            ],
        );
    }

    #[test]
    fn table_3_outbound_unsubscribe() {
        outbound(
            Verb::Unsubscribe,
            [
                (true, "="),
                (true, "None"),
                (true, "="),
                (true, "None+In"),
                (true, "None"),
                (true, "None+In"),
                (true, "="),
                (true, "From"),
                (true, "From"),
            ],
        );
    }

    #[test]
    fn table_4_outbound_subscribed() {
        outbound(
            Verb::Subscribed,
            [
                (false, "None+Approved"),
                (false, "None+Out+Approved"),
                (true, "From"),
                (true, "From+Out"),
                (false, "To+Approved"),
                (true, "Both"),
                (false, "="),
                (false, "="),
                (false, "="),
            ],
        );
    }

    #[test]
    fn table_5_outbound_unsubscribed() {
        outbound(
            Verb::Unsubscribed,
            [
                (false, "="),
                (false, "="),
                (true, "None"),
                (true, "None+Out"),
                (false, "="),
                (true, "To"),
                (true, "None"),
                (true, "None+Out"),
                (true, "To"),
            ],
        );
    }

    #[test]
    fn table_6_inbound_subscribe() {
        let yes = Some(Verb::Subscribed);
        inbound(
            Verb::Subscribe,
            [
                (true, "None+In", None),
                (true, "None+Out+In", None),
                (false, "=", None),
                (false, "=", None),
                (true, "To+In", None),
                (false, "=", None),
                (false, "=", yes),
                (false, "=", yes),
                (false, "=", yes),
            ],
        );
    }

    #[test]
    fn table_7_inbound_unsubscribe() {
        let no = Some(Verb::Unsubscribed);
        inbound(
            Verb::Unsubscribe,
            [
                (false, "=", None),
                (false, "=", None),
                (true, "None", no),
                (true, "None+Out", no),
                (false, "=", None),
                (true, "To", no),
                (true, "None", no),
                (true, "None+Out", no),
                (true, "To", no),
            ],
        );
    }

    #[test]
    fn table_8_inbound_subscribed() {
        inbound(
            Verb::Subscribed,
            [
                (false, "=", None),
                (true, "To", None),
                (false, "=", None),
                (true, "To+In", None),
                (false, "=", None),
                (false, "=", None),
                (false, "=", None),
                (true, "Both", None),
                (false, "=", None),
            ],
        );
    }

    #[test]
    fn table_9_inbound_unsubscribed() {
        inbound(
            Verb::Unsubscribed,
            [
                (false, "=", None),
                (true, "None", None),
                (false, "=", None),
                (true, "None+In", None),
                (true, "None", None),
                (true, "None+In", None),
                (false, "=", None),
                (true, "From", None),
                (true, "From", None),
            ],
        );
    }

    #[test]
    fn a_pre_approval_answers_the_request_and_can_be_taken_back() {
        let (approved, routed) = Subscription::default().outbound(Verb::Subscribed);
        assert!(approved.approved && !routed);
        let got = approved.inbound(Verb::Subscribe);
        assert!(got.state.from && !got.deliver && got.reply == Some(Verb::Subscribed));
        assert_eq!(
            approved.outbound(Verb::Unsubscribed),
            (Subscription::default(), false)
        );
    }
}
