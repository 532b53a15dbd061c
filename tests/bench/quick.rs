//! The quick way in: SASL2 with a token (XEP-0388, XEP-0484) and the session of before, or a new one by
//! Bind 2 (XEP-0386), all in one round trip.

use crate::{
    client::{Account, Door, RESOURCE},
    scram::{Attempt, MECHANISMS},
    session::{Left, SM, Session},
};
use anyhow::{Context, Result, bail, ensure};
use aws_lc_rs::{digest, hmac};
use base64::{Engine, prelude::BASE64_STANDARD};
use xmpp::Element;

const SASL2: &str = "urn:xmpp:sasl:2";
const BIND2: &str = "urn:xmpp:bind:0";
const FAST: &str = "urn:xmpp:fast:0";

/// A server that takes all of it, and the mechanism for its tokens.
#[derive(Clone, Debug)]
pub(crate) struct Quick {
    mechanism: &'static Tokens,
}

/// A mechanism of draft-schmaus-kitten-sasl-ht, and what it binds to.
#[derive(Debug)]
struct Tokens {
    name: &'static str,
    binds: bool,
}

/// The better one first.
static TOKENS: [Tokens; 2] = [
    Tokens {
        name: "HT-SHA-256-EXPR",
        binds: true,
    },
    Tokens {
        name: "HT-SHA-256-NONE",
        binds: false,
    },
];

impl Quick {
    /// What the features before authentication say (XEP-0388 §3, XEP-0386 §3, XEP-0484 §3.1).
    pub(crate) fn offered(features: &Element) -> Option<Quick> {
        let inline = features
            .child(SASL2, "authentication")?
            .child(SASL2, "inline")?;
        inline.child(SM, "sm")?;
        inline.child(BIND2, "bind")?;
        let fast = inline.child(FAST, "fast")?;
        let offers = |tokens: &&Tokens| fast.elements().any(|one| one.text() == tokens.name);
        let mechanism = TOKENS.iter().find(offers)?;
        Some(Quick { mechanism })
    }
}

impl Door {
    /// As [`Door::log_in`], by SASL2, and with a token for the next time.
    pub(crate) async fn log_in_for_token(
        &self,
        account: &Account,
        quick: &Quick,
    ) -> Result<Session> {
        let (mut session, _) = self.connect(account).await?;
        session.open(&self.domain).await?;
        let attempt = Attempt::new(&MECHANISMS[0], &account.localpart)?;
        let token = quick.mechanism.name;
        let carbons = if self.offer.carbons {
            "<enable xmlns='urn:xmpp:carbons:2'/>"
        } else {
            ""
        };
        let request = format!(
            "<authenticate xmlns='{SASL2}' mechanism='{}'><initial-response>{}</initial-response>{}\
             <request-token xmlns='{FAST}' mechanism='{token}'/>\
             <bind xmlns='{BIND2}'><tag>{RESOURCE}</tag>{carbons}\
             <enable xmlns='{SM}' resume='true'/></bind></authenticate>",
            attempt.mechanism(),
            attempt.first(),
            user_agent(account)
        );
        session.outgoing.write(&request).await?;
        let challenge = session.incoming.nonza("challenge").await?;
        let (response, last) = attempt.answer(&challenge.text(), &account.password)?;
        session
            .outgoing
            .write(&format!("<response xmlns='{SASL2}'>{response}</response>"))
            .await?;
        let success = session.incoming.nonza("success").await?;
        let data = success.child(SASL2, "additional-data");
        ensure!(
            data.is_some_and(|data| data.text() == last),
            "the server does not know the password"
        );
        let bound = success.child(BIND2, "bound").context("nothing is bound")?;
        let enabled = bound.child(SM, "enabled").context("not managed")?.clone();
        session.token = token_in(&success);
        // XEP-0388 §2.6.1: the features of the stream after authentication follow at once.
        session.incoming.features().await?;
        session.managed(&enabled);
        session.appear().await?;
        Ok(session)
    }

    /// Comes back into a session with a token.
    pub(crate) async fn resume_with_token(
        &self,
        account: &Account,
        quick: &Quick,
        left: &Left,
    ) -> Result<Session> {
        let (mut session, exporter) = self.connect(account).await?;
        let token = left.token.as_deref().context("no token was given")?;
        let binding: &[u8] = if quick.mechanism.binds {
            &exporter
        } else {
            &[]
        };
        let (initiator, responder) = proofs(token, binding);
        let mut message = [account.localpart.as_bytes(), b"\0"].concat();
        message.extend_from_slice(initiator.as_ref());
        session.open(&self.domain).await?;
        session
            .outgoing
            .write(&format!(
                "<authenticate xmlns='{SASL2}' mechanism='{}'><initial-response>{}</initial-response>{}\
                 <fast xmlns='{FAST}'/><resume xmlns='{SM}' previd='{}' h='{}'/></authenticate>",
                quick.mechanism.name,
                BASE64_STANDARD.encode(message),
                user_agent(account),
                left.resumption,
                left.handled
            ))
            .await?;
        let success = session.incoming.nonza("success").await?;
        let data = success.child(SASL2, "additional-data").map(Element::text);
        if data != Some(BASE64_STANDARD.encode(responder)) {
            bail!("the server does not know the token");
        }
        let resumed = success.child(SM, "resumed").context("not resumed")?;
        session.continued(left, resumed)?;
        Ok(session)
    }
}

/// XEP-0484 §3.3: the token that came, or that takes the place of the one before.
fn token_in(success: &Element) -> Option<String> {
    let token = success.child(FAST, "token")?;
    token.attr("token").map(str::to_owned)
}

/// What each side proves that it knows the token with (draft-schmaus-kitten-sasl-ht §3).
fn proofs(token: &str, binding: &[u8]) -> (hmac::Tag, hmac::Tag) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let of = |side: &[u8]| hmac::sign(&key, &[side, binding].concat());
    (of(b"Initiator"), of(b"Responder"))
}

/// XEP-0388 §2.3: one installation per account, always the same.
fn user_agent(account: &Account) -> String {
    let digest = digest::digest(&digest::SHA256, account.localpart.as_bytes());
    let mut hex = String::with_capacity(32);
    for byte in &digest.as_ref()[..16] {
        hex += &format!("{byte:02x}");
    }
    let id = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..32],
    ]
    .join("-");
    format!("<user-agent id='{id}'/>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn an_installation_is_a_uuid() {
        let account = Account {
            localpart: "person1".to_owned(),
            password: String::new(),
        };
        expect!["<user-agent id='241d581b-957d-9f06-d86e-8e8f102a4a18'/>"]
            .assert_eq(&user_agent(&account));
    }

    #[test]
    fn all_of_it_or_nothing() {
        for (fast, sm, expected) in [
            ("HT-SHA-256-NONE", "sm", Some("HT-SHA-256-NONE")),
            ("HT-SHA-256-EXPR", "sm", Some("HT-SHA-256-EXPR")),
            ("HT-SHA-256-ENDP", "sm", None),
            ("HT-SHA-256-NONE", "other", None),
        ] {
            let features = format!(
                "<features xmlns='http://etherx.jabber.org/streams'><authentication xmlns='{SASL2}'>\
                 <inline><bind xmlns='{BIND2}'/><{sm} xmlns='{SM}'/><fast xmlns='{FAST}'>\
                 <mechanism>{fast}</mechanism></fast></inline></authentication></features>"
            );
            let quick = Quick::offered(&Element::parse(&features, "").unwrap());
            assert_eq!(
                quick.map(|quick| quick.mechanism.name),
                expected,
                "{fast} {sm}"
            );
        }
    }
}
