//! The three kinds of refusal a peer can see: of a stanza, of a stream, of a login.
//!
//! They are constants: condition and text are fixed here, so that nothing of our insides can leak (house
//! rule 10).

use crate::{Element, ns};

/// A stanza error (RFC 6120 §8.3). The text for the peer is fixed here; reasons go to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StanzaError {
    /// `auth`, `cancel`, `continue`, `modify` or `wait` (§8.3.2).
    pub type_: &'static str,
    /// A condition element of §8.3.3.
    pub condition: &'static str,
    /// An application-specific condition element as XML with its namespace (§8.3.4), or nothing.
    pub detail: &'static str,
    /// English text for a person (§8.3.2), or nothing.
    pub text: &'static str,
    /// The number that older clients look for (XEP-0086 §3), or 0.
    pub code: u16,
}

macro_rules! stanza_errors { ($($name:ident = $type_:literal $condition:literal;)*) => {
    impl StanzaError { $(
        #[doc = concat!("`", $condition, "`, type `", $type_, "` (RFC 6120 §8.3.3).")]
        pub const $name: StanzaError = StanzaError {
            type_: $type_,
            condition: $condition,
            detail: "",
            text: "",
            code: 0,
        };
    )*

        /// Every condition, with the type it usually has.
        const ALL: &'static [StanzaError] = &[$(StanzaError::$name),*];
    }
} }

stanza_errors! {
    BAD_REQUEST = "modify" "bad-request";
    CONFLICT = "cancel" "conflict";
    FEATURE_NOT_IMPLEMENTED = "cancel" "feature-not-implemented";
    FORBIDDEN = "auth" "forbidden";
    GONE = "cancel" "gone";
    INTERNAL = "cancel" "internal-server-error";
    ITEM_NOT_FOUND = "cancel" "item-not-found";
    JID_MALFORMED = "modify" "jid-malformed";
    NOT_ACCEPTABLE = "modify" "not-acceptable";
    NOT_ALLOWED = "cancel" "not-allowed";
    NOT_AUTHORIZED = "auth" "not-authorized";
    POLICY_VIOLATION = "modify" "policy-violation";
    RECIPIENT_UNAVAILABLE = "wait" "recipient-unavailable";
    REDIRECT = "modify" "redirect";
    REGISTRATION_REQUIRED = "auth" "registration-required";
    REMOTE_SERVER_NOT_FOUND = "cancel" "remote-server-not-found";
    REMOTE_SERVER_TIMEOUT = "wait" "remote-server-timeout";
    RESOURCE_CONSTRAINT = "wait" "resource-constraint";
    SERVICE_UNAVAILABLE = "cancel" "service-unavailable";
    SUBSCRIPTION_REQUIRED = "auth" "subscription-required";
    UNDEFINED_CONDITION = "cancel" "undefined-condition";
    UNEXPECTED_REQUEST = "wait" "unexpected-request";
}

impl StanzaError {
    /// What somebody else's error says, as far as it is one of ours to say: its condition and type, and
    /// nothing that names or describes who answered. `undefined-condition` where the condition is none of
    /// §8.3.3 that we know.
    pub fn of(error: &Element) -> StanzaError {
        let mut conditions = error
            .elements()
            .filter(|child| child.ns == ns::STANZA_ERRORS);
        let condition = conditions.find(|child| child.name != "text");
        let known = condition.and_then(|condition| {
            let mut all = StanzaError::ALL.iter();
            all.find(|known| known.condition == condition.name)
        });
        let known = *known.unwrap_or(&StanzaError::UNDEFINED_CONDITION);
        let types = ["auth", "cancel", "continue", "modify", "wait"];
        let type_ = types
            .into_iter()
            .find(|type_| error.attr("type") == Some(type_));
        StanzaError {
            type_: type_.unwrap_or(known.type_),
            ..known
        }
    }

    /// The same refusal with a sentence for a person.
    pub const fn with_text(self, text: &'static str) -> StanzaError {
        StanzaError { text, ..self }
    }

    /// The same refusal with its number of before there were conditions (XEP-0086).
    pub const fn with_code(self, code: u16) -> StanzaError {
        StanzaError { code, ..self }
    }

    /// The same refusal with an application-specific condition (RFC 6120 §8.3.4), as XML with its namespace.
    pub const fn with_detail(self, detail: &'static str) -> StanzaError {
        StanzaError { detail, ..self }
    }
}

/// A stream error (RFC 6120 §4.9): the peer is told, then the connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// A condition element of §4.9.3.
    pub condition: &'static str,
    /// English text for a person, or nothing.
    pub text: &'static str,
    /// The peer acknowledged more stanzas than it was sent: its count and ours (XEP-0198 §6).
    pub handled_too_high: Option<(u32, u32)>,
}

macro_rules! stream_errors { ($($name:ident = $condition:literal;)*) => {
    impl StreamError { $(
        #[doc = concat!("`", $condition, "` (RFC 6120 §4.9.3).")]
        pub const $name: StreamError = StreamError {
            condition: $condition,
            text: "",
            handled_too_high: None,
        };
    )* }
} }

stream_errors! {
    BAD_FORMAT = "bad-format";
    BAD_NAMESPACE_PREFIX = "bad-namespace-prefix";
    CONFLICT = "conflict";
    CONNECTION_TIMEOUT = "connection-timeout";
    HOST_GONE = "host-gone";
    HOST_UNKNOWN = "host-unknown";
    IMPROPER_ADDRESSING = "improper-addressing";
    INTERNAL = "internal-server-error";
    INVALID_FROM = "invalid-from";
    INVALID_NAMESPACE = "invalid-namespace";
    INVALID_XML = "invalid-xml";
    NOT_AUTHORIZED = "not-authorized";
    NOT_WELL_FORMED = "not-well-formed";
    POLICY_VIOLATION = "policy-violation";
    REMOTE_CONNECTION_FAILED = "remote-connection-failed";
    RESET = "reset";
    RESOURCE_CONSTRAINT = "resource-constraint";
    RESTRICTED_XML = "restricted-xml";
    SYSTEM_SHUTDOWN = "system-shutdown";
    UNDEFINED_CONDITION = "undefined-condition";
    UNSUPPORTED_ENCODING = "unsupported-encoding";
    UNSUPPORTED_FEATURE = "unsupported-feature";
    UNSUPPORTED_STANZA_TYPE = "unsupported-stanza-type";
    UNSUPPORTED_VERSION = "unsupported-version";
}

impl StreamError {
    /// The same error with a sentence for a person.
    pub const fn with_text(self, text: &'static str) -> StreamError {
        StreamError { text, ..self }
    }

    /// The peer acknowledged `h` stanzas and was sent `sent` (XEP-0198 §6).
    pub const fn handled_count_too_high(h: u32, sent: u32) -> StreamError {
        StreamError {
            handled_too_high: Some((h, sent)),
            ..StreamError::UNDEFINED_CONDITION
        }
    }
}

/// A refused login (RFC 6120 §6.5), the same conditions in SASL and in SASL2 (XEP-0388).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaslFailure {
    /// A condition element of §6.5.
    pub condition: &'static str,
    /// English text for a person, or nothing.
    pub text: &'static str,
}

macro_rules! sasl_failures { ($($name:ident = $condition:literal;)*) => {
    impl SaslFailure { $(
        #[doc = concat!("`", $condition, "` (RFC 6120 §6.5).")]
        pub const $name: SaslFailure = SaslFailure { condition: $condition, text: "" };
    )* }
} }

sasl_failures! {
    ABORTED = "aborted";
    ACCOUNT_DISABLED = "account-disabled";
    CREDENTIALS_EXPIRED = "credentials-expired";
    ENCRYPTION_REQUIRED = "encryption-required";
    INCORRECT_ENCODING = "incorrect-encoding";
    INVALID_AUTHZID = "invalid-authzid";
    INVALID_MECHANISM = "invalid-mechanism";
    MALFORMED_REQUEST = "malformed-request";
    MECHANISM_TOO_WEAK = "mechanism-too-weak";
    NOT_AUTHORIZED = "not-authorized";
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure";
}
