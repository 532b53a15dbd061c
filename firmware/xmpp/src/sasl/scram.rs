//! SCRAM (RFC 5802, RFC 7677), the server's side, with channel binding and XEP-0474.
//!
//! Three states in a row, each made from the one before: [`Opened`] → [`Named`] → [`Challenged`].

mod grammar;
mod keys;

use ::base64::{Engine, prelude::BASE64_STANDARD};

use super::{ChannelBindings, Offer, Step};
use crate::{SaslFailure, prep};
use grammar::{ClientFinal, ClientFirst, Flag};
pub use keys::{Hash, ITERATIONS, Keys, SALT_BYTES};

/// Base64 as SCRAM writes it: the standard alphabet, padded.
pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// Waits for the client-first-message.
pub(super) struct Opened {
    hash: Hash,
    /// What the channel can be bound to, in a -PLUS mechanism.
    plus: Option<ChannelBindings>,
    /// Whether a client had the choice of a -PLUS mechanism.
    plus_offered: bool,
    /// The attribute `h` of XEP-0474, with its comma; empty where nothing was offered that could be cut
    /// short.
    downgrade_protection: String,
    nonce: String,
}

impl Opened {
    /// `nonce` is the server's share: printable ASCII without a comma.
    pub(super) fn new(
        hash: Hash,
        plus: Option<ChannelBindings>,
        offer: &Offer,
        nonce: String,
    ) -> Opened {
        let plus_offered = offer.mechanisms.iter().any(|name| name.ends_with("-PLUS"));
        Opened {
            hash,
            plus,
            plus_offered,
            downgrade_protection: downgrade_protection(hash, offer),
            nonce,
        }
    }

    pub(super) fn client_first(self, message: &str) -> Result<Named, SaslFailure> {
        let first = ClientFirst::parse(message).ok_or(SaslFailure::MALFORMED_REQUEST)?;
        let binding_data = self.binding_data(first.flag)?;
        let username = prep::saslprep_query(&first.username).filter(|name| !name.is_empty());
        Ok(Named {
            hash: self.hash,
            username: username.ok_or(SaslFailure::NOT_AUTHORIZED)?.into_owned(),
            // §7, cbind-input: the header as it was received, and the data if the flag is "p".
            channel_binding: base64([first.gs2_header.as_bytes(), binding_data].concat()),
            nonce: format!("{}{}", first.nonce, self.nonce),
            client_first_bare: first.bare.into(),
            authzid: first.authzid,
            downgrade_protection: self.downgrade_protection,
        })
    }

    /// The data that the client must prove to see on its end of the channel (§6).
    fn binding_data(&self, flag: Flag<'_>) -> Result<&[u8], SaslFailure> {
        match (&self.plus, flag) {
            (Some(bindings), Flag::Bound(name)) => {
                bindings.data(name).ok_or(SaslFailure::NOT_AUTHORIZED)
            }
            (None, Flag::Unsupported) => Ok(&[]),
            (None, Flag::NotOffered) if !self.plus_offered => Ok(&[]),
            // We did offer it: somebody between us took it out of the list.
            (None, Flag::NotOffered) => Err(SaslFailure::NOT_AUTHORIZED),
            // The flag contradicts the name of the mechanism.
            (Some(_), Flag::Unsupported | Flag::NotOffered) | (None, Flag::Bound(_)) => {
                Err(SaslFailure::MALFORMED_REQUEST)
            }
        }
    }
}

/// XEP-0474 §6.1: a hash over what was advertised, sorted octet by octet.
fn downgrade_protection(hash: Hash, offer: &Offer) -> String {
    if offer.mechanisms.is_empty() {
        return String::new();
    }
    let sorted = |names: &[&'static str]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.join("\x1e")
    };
    let mut advertised = sorted(&offer.mechanisms);
    if !offer.bindings.is_empty() {
        advertised.push('\x1f');
        advertised.push_str(&sorted(&offer.bindings));
    }
    format!(",h={}", base64(hash.digest(advertised.as_bytes())))
}

/// Knows who the client says it is, and waits for their keys.
pub(super) struct Named {
    hash: Hash,
    username: String,
    authzid: Option<String>,
    /// What the attribute `c` must be.
    channel_binding: String,
    /// Both shares.
    nonce: String,
    client_first_bare: String,
    downgrade_protection: String,
}

impl Named {
    pub(super) fn lookup(&self) -> Step {
        Step::Lookup {
            username: self.username.clone(),
            hash: self.hash,
        }
    }

    /// The server-first-message, and the state that waits for the answer to it.
    pub(super) fn challenge(self, keys: Keys, known: bool) -> (Challenged, String) {
        let salt = base64(&keys.salt);
        let Named {
            nonce,
            downgrade_protection,
            ..
        } = &self;
        let server_first = format!(
            "r={nonce},s={salt},i={}{downgrade_protection}",
            keys.iterations
        );
        (
            Challenged {
                server_first: server_first.clone(),
                keys,
                known,
                named: self,
            },
            server_first,
        )
    }
}

/// Has sent the server-first-message, and waits for the client-final-message with the proof.
pub(super) struct Challenged {
    named: Named,
    keys: Keys,
    known: bool,
    server_first: String,
}

impl Challenged {
    pub(super) fn client_final(self, message: &str) -> Result<Step, SaslFailure> {
        let last = ClientFinal::parse(message).ok_or(SaslFailure::MALFORMED_REQUEST)?;
        let Named {
            hash,
            username,
            authzid,
            channel_binding,
            nonce,
            client_first_bare,
            ..
        } = self.named;
        // §5.1: the very nonce we sent. §6: the c attribute as we would have written it.
        if last.nonce != nonce || last.channel_binding != channel_binding {
            return Err(SaslFailure::NOT_AUTHORIZED);
        }
        let auth_message = format!(
            "{client_first_bare},{},{}",
            self.server_first, last.without_proof
        );
        // Both are always computed: an unknown name takes the time of a known one.
        let signature = self.keys.server_signature(hash, auth_message.as_bytes());
        if self
            .keys
            .accepts(hash, auth_message.as_bytes(), &last.proof)
            && self.known
        {
            let data = format!("v={}", base64(signature)).into_bytes();
            Ok(Step::Success {
                username,
                authzid,
                data: Some(data),
            })
        } else {
            Err(SaslFailure::NOT_AUTHORIZED)
        }
    }
}
