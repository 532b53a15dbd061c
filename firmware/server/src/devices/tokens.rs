//! Tokens of XEP-0484: how they are made, and which of a device's two is proved.
//!
//! A token is an HMAC of random bytes under a key that is made of the server's secret, the account, the
//! device and the keys of the account's password. Stored are the random bytes only: a row without the
//! server's secret signs nobody in, and a token outlives no change of the password, whoever still has it
//! in memory.
//!
//! There is no early data on our side of TLS (`tls.rs`), so `tls-0rtt` is not announced (§3.1), and a count
//! need not be sent; where it is, it must grow (§3.4).

use super::{Device, Id};
use crate::{
    limits::{TOKEN_MS_MAX, TOKEN_ROTATION_MS},
    world::{Dice, Timestamp},
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use xmpp::sasl::{
    Keys,
    ht::{Channel, Claim},
};

/// Random bytes that a token is made of: 256 bits.
pub(crate) type Seed = [u8; 32];

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Token {
    pub(super) seed: Seed,
    /// It is good for this mechanism alone (§3.4).
    channel: Channel,
    issued_ms: Timestamp,
    pub(super) expires_ms: Timestamp,
    /// The largest count that came with it.
    count: u32,
}

/// What makes the tokens of one device.
pub(crate) struct TokenKey(hmac::Key);

impl TokenKey {
    pub(crate) fn of(secret: &[u8], account: u32, device: Id, password: &Keys) -> TokenKey {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut context = hmac::Context::with_key(&secret);
        for part in [
            b"token\0".as_slice(),
            &account.to_be_bytes(),
            &device.0,
            &password.stored_key,
        ] {
            context.update(part);
        }
        TokenKey(hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()))
    }

    /// The token as the client has it: 43 characters.
    pub(super) fn text(&self, seed: &Seed) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, seed).as_ref())
    }

    /// A token made now, and its text.
    pub(super) fn issue(
        &self,
        channel: Channel,
        now: Timestamp,
        dice: &dyn Dice,
    ) -> (Token, String) {
        let mut seed = Seed::default();
        dice.fill(&mut seed);
        let token = Token {
            seed,
            channel,
            issued_ms: now,
            expires_ms: now.saturating_add(TOKEN_MS_MAX),
            count: 0,
        };
        (token, self.text(&seed))
    }

    /// The token of this device that proves the claim, and what answers it. Both are always tried, and where
    /// there is none, something is tried instead: all refusals take the same time.
    pub(crate) fn proved(
        &self,
        device: Option<&Device>,
        claim: &Claim,
        now: Timestamp,
    ) -> Option<(Seed, Vec<u8>)> {
        let slots = [
            device.and_then(|device| device.new.as_deref()),
            device.and_then(|device| device.current.as_deref()),
        ];
        let mut proved = None;
        for slot in slots {
            let seed = slot.map_or(Seed::default(), |token| token.seed);
            let text = self.text(&seed);
            let fits = claim.is_proved_by(&text);
            let counts =
                slot.is_some_and(|token| token.channel == claim.channel && now < token.expires_ms);
            if fits && counts && proved.is_none() {
                proved = Some((seed, claim.answer(&text)));
            }
        }
        proved
    }
}

impl Token {
    /// §3.5: whether a new one is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        now.saturating_sub(self.issued_ms) >= TOKEN_ROTATION_MS
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel
    }
}

impl Device {
    /// The token in use, once more looked at: since it was proved another connection may have used the new
    /// one, or this very one. Of a count nothing may come twice.
    pub(super) fn may_use(&self, seed: &Seed, count: Option<u32>, now: Timestamp) -> bool {
        let mut tokens = self.new.iter().chain(&self.current);
        tokens.any(|token| {
            token.seed == *seed
                && now < token.expires_ms
                && count.is_none_or(|count| count > token.count)
        })
    }

    /// §5.1: a token that [`Device::may_use`] is used. If it was the new one, it is the current one from now
    /// on, and whoever has the one before has nothing; then it is `true`.
    pub(super) fn use_token(&mut self, seed: &Seed, count: Option<u32>) -> bool {
        let is_new = self.new.as_ref().is_some_and(|token| token.seed == *seed);
        if is_new {
            self.current = self.new.take();
        }
        if let (Some(token), Some(count)) = (&mut self.current, count) {
            token.count = count;
        }
        is_new
    }
}
