//! XEP-0077 before a login: who has no account makes one, where the household lets strangers do that.
//!
//! There is no invitation that would be asked for; `registration.open` alone decides. What is asked for is
//! counted, per address and over all of them (`registration.rs`).

use super::{Followed, Negotiation, Next, Stage, Work};
use crate::{
    accounts::{self, NewAccount, Refusal},
    limits::REGISTRATION_REQUESTS_MAX,
    registration::{self, NS, Wish},
    server::{AccountChange, Server},
};
use std::{net::IpAddr, sync::Arc};
use store::Ticket;
use tracing::{error, info};
use xmpp::{Element, Kind, Stanza, StanzaError, StreamError, compose};

/// §8.
pub(super) const STREAM_FEATURE: &str =
    "<register xmlns='http://jabber.org/features/iq-register'/>";

const TOO_MANY: StreamError =
    StreamError::POLICY_VIOLATION.with_text("too many requests about registration");
/// §3.1.1 allows `not-acceptable`; this one tells clients that it is only a matter of time.
const LATER: StanzaError = StanzaError::RESOURCE_CONSTRAINT
    .with_text("too many accounts were asked for: try again in an hour");
/// §3.1.1.
const ENOUGH: StanzaError =
    StanzaError::NOT_ACCEPTABLE.with_text("you have an account now: sign in with it");

/// A request about registration.
struct Request {
    id: String,
    /// `None` asks what is needed.
    wanted: Option<Element>,
}

impl Request {
    /// Reads a stanza; `None` where it is something else, or for somebody else.
    fn of(server: &Server, stanza: &Stanza) -> Option<Request> {
        let is_for_us = match stanza.to() {
            Ok(to) => to.is_none_or(|to| to == *server.domain()),
            Err(_) => false,
        };
        if stanza.kind != Kind::Iq || !is_for_us {
            return None;
        }
        let query = stanza.child(NS, "query")?;
        let wanted = match stanza.type_() {
            "get" => None,
            "set" => Some(query.element()),
            _ => return None,
        };
        Some(Request {
            id: stanza.id()?.into_owned(),
            wanted,
        })
    }
}

/// An account that a stranger may have, as far as nobody else has it.
pub(super) struct Application {
    id: String,
    localpart: String,
    password: String,
}

/// What became of it.
pub(super) struct Decided {
    id: String,
    localpart: String,
    outcome: Result<Ticket, StanzaError>,
}

impl Negotiation {
    /// Takes a stanza of somebody who has not signed in.
    pub(super) fn register(
        &mut self,
        server: &Arc<Server>,
        stanza: &Stanza,
        out: &mut Vec<u8>,
    ) -> Followed {
        let Stage::Secured(None) = self.stage else {
            return Err(StreamError::NOT_AUTHORIZED);
        };
        let request = Request::of(server, stanza).ok_or(StreamError::NOT_AUTHORIZED)?;
        self.registrations += 1;
        if self.registrations > REGISTRATION_REQUESTS_MAX {
            return Err(TOO_MANY);
        }
        let answer = match self.answer(server, &request) {
            Ok(Answer::Form) => reply(server, "result", &request.id, &form(server)),
            Ok(Answer::Decide(application)) => {
                self.stage = Stage::LookingUp;
                return Ok(Next::Work(Work::register(server.clone(), application)));
            }
            Err(error) => refuse(server, &request.id, error),
        };
        out.extend(answer.as_bytes());
        Ok(Next::Stay)
    }

    fn answer(&self, server: &Server, request: &Request) -> Result<Answer, StanzaError> {
        let config = server.config();
        if !config.registration.open {
            return Err(StanzaError::SERVICE_UNAVAILABLE); // §3.1
        }
        if self.has_registered {
            return Err(ENOUGH);
        }
        let Some(query) = &request.wanted else {
            return Ok(Answer::Form);
        };
        if query.child(NS, "remove").is_some() {
            return Err(StanzaError::UNEXPECTED_REQUEST); // §3.2: of whom?
        }
        let wish = Wish::read(query, &[NS])?.ok_or(registration::INCOMPLETE)?;
        let localpart = registration::localpart(&config, server.domain(), &wish.username)?;
        wish.check_password()?;
        if !server.store().takes_writes() {
            return Err(StanzaError::RESOURCE_CONSTRAINT);
        }
        let now = server.clock().elapsed_ms();
        let registrations = &server.logins().registrations;
        if !registrations.may_follow(self.address, now) {
            info!(address = %self.address, "too many accounts were asked for");
            return Err(LATER);
        }
        Ok(Answer::Decide(Application {
            id: request.id.clone(),
            localpart,
            password: wish.password,
        }))
    }

    /// The account is made, or not: the result is a promise, so it waits for the disk.
    pub(super) async fn registered(
        &mut self,
        server: &Arc<Server>,
        decided: Decided,
        out: &mut Vec<u8>,
    ) -> Followed {
        self.stage = Stage::Secured(None);
        let Decided {
            id,
            localpart,
            outcome,
        } = decided;
        let answer = match keep(server, outcome).await {
            Ok(()) => {
                self.has_registered = true;
                note(server, &localpart, self.address).await;
                reply(server, "result", &id, "")
            }
            Err(error) => refuse(server, &id, error),
        };
        out.extend(answer.as_bytes());
        Ok(Next::Stay)
    }
}

enum Answer {
    Form,
    Decide(Application),
}

async fn keep(server: &Server, outcome: Result<Ticket, StanzaError>) -> Result<(), StanzaError> {
    let is_kept = server.is_kept(outcome?).await;
    is_kept
        .then_some(())
        .ok_or(StanzaError::RESOURCE_CONSTRAINT)
}

async fn note(server: &Arc<Server>, localpart: &str, address: IpAddr) {
    info!(account = %format!("{localpart}@{}", server.domain()), %address, "registered");
    server
        .account_changed(localpart, AccountChange::Added)
        .await;
}

impl Application {
    /// Makes the account. Derives keys, and waits for whoever changes accounts now.
    pub(super) fn decide(self, server: &Server) -> Decided {
        let Application {
            id,
            localpart,
            password,
        } = self;
        let now = server.now();
        let decided = server.decide_account(|snapshot| {
            if accounts::was_somebody(snapshot, &localpart, now)? {
                return Err(Refusal::Exists);
            }
            let account = NewAccount {
                localpart: &localpart,
                password: &password,
                display_name: "",
                admin: false,
            };
            accounts::add(
                snapshot,
                server.domain().as_str(),
                &account,
                now,
                server.dice(),
            )
        });
        let outcome = decided.map_err(|refusal| match refusal {
            Refusal::Exists | Refusal::Resting => registration::TAKEN,
            Refusal::BadPassword => registration::BAD_PASSWORD,
            refusal => {
                error!(%refusal, "an account is not made");
                StanzaError::RESOURCE_CONSTRAINT
            }
        });
        Decided {
            id,
            localpart,
            outcome,
        }
    }
}

/// §3.1, §4: fields, and the same as a form.
fn form(server: &Server) -> String {
    let instructions = format!(
        "Choose a name and a password of at least ten characters. Your address will be the name, followed by \
         @{}.",
        compose::escaped(server.domain().as_str())
    );
    format!(
        "<query xmlns='{NS}'><instructions>{instructions}</instructions><username/><password/>\
         <x xmlns='jabber:x:data' type='form'><title>A new account</title>\
         <instructions>{instructions}</instructions>\
         <field type='hidden' var='FORM_TYPE'><value>{NS}</value></field>\
         <field type='text-single' label='Name' var='username'><required/></field>\
         <field type='text-private' label='Password' var='password'><required/></field></x></query>"
    )
}

fn refuse(server: &Server, id: &str, error: StanzaError) -> String {
    reply(server, "error", id, &registration::numbered(error).to_xml())
}

/// Nothing of the request goes back: there is a password in it (§3.3).
fn reply(server: &Server, type_: &str, id: &str, content: &str) -> String {
    let mut xml = format!("<iq type='{type_}'");
    compose::attribute(&mut xml, "id", id);
    compose::attribute(&mut xml, "from", server.domain().as_str());
    xml + ">" + content + "</iq>"
}
