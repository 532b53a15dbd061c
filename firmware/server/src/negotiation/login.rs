//! The stage of authentication: an exchange begins, goes back and forth, and ends in a success or a failure.

use super::{
    Delayed, Done, Followed, Negotiation, Next, Stage, Work,
    attempt::{Attempt, Profile, Said},
    bind2, classic, features,
    resume::{Refused, resume},
    sasl2,
    work::{Outcome, Sought},
};
use crate::{
    devices::{Arrival, Issued, Used},
    limits::ATTEMPTS_MAX,
    server::Server,
    session::Session,
};
use std::sync::Arc;
use tracing::{debug, info};
use xmpp::{
    Element, Jid, SaslFailure, StreamError,
    sasl::{Exchange, Mechanism, Step, may_act_as},
};

impl Negotiation {
    pub(super) async fn authenticate(
        &mut self,
        server: &Arc<Server>,
        ongoing: Option<Box<Attempt>>,
        said: Said,
        profile: Profile,
        element: &Element,
        out: &mut Vec<u8>,
    ) -> Followed {
        // XEP-0388 §2.4: during an exchange nothing else may be sent, and who does is disconnected.
        let is_mixed = |ongoing: &Attempt| !ongoing.profile.is_same(&profile);
        let is_sasl2 = |ongoing: &Attempt| ongoing.profile.is_sasl2();
        if ongoing
            .as_deref()
            .is_some_and(|o| is_mixed(o) || (is_sasl2(o) && said == Said::Begin))
        {
            return Err(
                StreamError::POLICY_VIOLATION.with_text("an authentication exchange is going on")
            );
        }
        match (said, ongoing) {
            // RFC 6120 §6.4.2: a second <auth/> replaces the first. Those given up count, too: nothing else
            // bounds how often keys are looked up.
            (Said::Begin, _) => {
                self.may_retry()?;
                if !self.is_current(&profile) {
                    // XEP-0509 §2.2: without prejudice, so it is no attempt.
                    out.extend(sasl2::config_version_mismatch().as_bytes());
                    return Ok(Next::Stay);
                }
                self.attempts += 1;
                let Some(exchange) = self.exchange(server, &profile, element) else {
                    return self.refuse(&profile, SaslFailure::INVALID_MECHANISM, out);
                };
                let mut attempt = Box::new(Attempt::new(profile, exchange));
                let step = attempt.begin(element);
                self.follow(server, attempt, step, out).await
            }
            (Said::Respond, Some(mut attempt)) => {
                let step = attempt.respond(element);
                self.follow(server, attempt, step, out).await
            }
            (Said::Respond, None) => {
                self.attempts += 1;
                self.refuse(&profile, SaslFailure::MALFORMED_REQUEST, out)
            }
            (Said::Abort, ongoing) => {
                self.attempts += u32::from(ongoing.is_none());
                self.refuse(&profile, SaslFailure::ABORTED, out)
            }
        }
    }

    /// Answers an attempt that failed, and after the last one ends the stream.
    pub(super) fn refuse(
        &self,
        profile: &Profile,
        failure: SaslFailure,
        out: &mut Vec<u8>,
    ) -> Followed {
        out.extend(profile.failure(failure).as_bytes());
        self.may_retry().map(|()| Next::Stay)
    }

    /// RFC 6120 §6.4.5: a reasonable number of retries, and no more.
    pub(super) fn may_retry(&self) -> Result<(), StreamError> {
        if self.attempts < ATTEMPTS_MAX {
            Ok(())
        } else {
            Err(StreamError::POLICY_VIOLATION.with_text("too many attempts at authenticating"))
        }
    }

    /// Whether the client counts on the features that it was told (XEP-0509), or on none in particular.
    fn is_current(&self, profile: &Profile) -> bool {
        let Profile::Sasl2(wishes) = profile else {
            return true;
        };
        let version = wishes.config_version.as_ref();
        version.is_none_or(|version| *version == features::config_version(&self.bindings))
    }

    /// The exchange of the mechanism asked for, if that was offered.
    fn exchange(&self, server: &Server, profile: &Profile, element: &Element) -> Option<Exchange> {
        let mechanism = Mechanism::parse(element.attr("mechanism")?)
            .filter(|mechanism| features::is_usable(*mechanism, &self.bindings))?;
        // XEP-0484 §3.4: a token comes with <fast/>, and only in SASL2.
        let is_fast = matches!(profile, Profile::Sasl2(wishes) if wishes.fast.is_some());
        if matches!(mechanism, Mechanism::Token(_)) && !is_fast {
            return None;
        }
        let offer = features::offer(&self.bindings);
        let mut nonce = [0; 24];
        server.dice().fill(&mut nonce);
        Some(Exchange::new(mechanism, &offer, &self.bindings, nonce))
    }

    /// Takes back what [`Next::Work`] handed out.
    pub(crate) async fn resume(
        &mut self,
        server: &Arc<Server>,
        done: Done,
        out: &mut Vec<u8>,
    ) -> Followed {
        match done.0 {
            Outcome::Found { attempt, step } => {
                self.stage = Stage::Secured(None);
                self.follow(server, attempt, step, out).await
            }
            Outcome::Registered(decided) => self.registered(server, decided, out).await,
        }
    }

    async fn follow(
        &mut self,
        server: &Arc<Server>,
        attempt: Box<Attempt>,
        step: Result<Step, SaslFailure>,
        out: &mut Vec<u8>,
    ) -> Followed {
        match step {
            Ok(Step::Challenge(data)) => {
                out.extend(attempt.profile.challenge(&data).as_bytes());
                self.stage = Stage::Secured(Some(attempt));
                Ok(Next::Stay)
            }
            Ok(Step::Lookup { username, hash }) => {
                self.stage = Stage::LookingUp;
                let sought = Sought::Keys(username, hash);
                Ok(Next::Work(Work::new(server.clone(), attempt, sought)))
            }
            Ok(Step::Claimed(claim)) => {
                self.stage = Stage::LookingUp;
                let sought = Sought::Token(claim);
                Ok(Next::Work(Work::new(server.clone(), attempt, sought)))
            }
            Ok(Step::Success { authzid, data, .. }) => {
                match self.judge(&attempt, authzid.as_deref())? {
                    Ok(jid) => {
                        self.succeed(server, attempt, jid, data.as_deref(), out)
                            .await
                    }
                    Err(failure) => self.fail(server, &attempt, failure, out),
                }
            }
            Err(failure) => self.fail(server, &attempt, failure, out),
        }
    }

    /// The password was right; now whether this client may be whom it wants to be. The outer error ends the
    /// stream.
    fn judge(
        &self,
        attempt: &Attempt,
        authzid: Option<&str>,
    ) -> Result<Result<Jid, SaslFailure>, StreamError> {
        let Some(jid) = attempt.account() else {
            return Ok(Err(SaslFailure::NOT_AUTHORIZED));
        };
        let from_another = self
            .from
            .as_ref()
            .is_some_and(|from| from.localpart().is_some() && from != jid);
        // XEP-0388 §4.4: an authorization identity must be that of the header, too.
        if !authzid.is_none_or(|authzid| may_act_as(jid, authzid) && !from_another) {
            return Ok(Err(SaslFailure::INVALID_AUTHZID));
        }
        if !attempt.is_enabled() {
            return Ok(Err(SaslFailure::ACCOUNT_DISABLED));
        }
        // RFC 6120 §6.4.6: who said to be somebody else on the header is not let in as this one.
        if from_another {
            return Err(StreamError::INVALID_FROM);
        }
        Ok(Ok(jid.clone()))
    }

    async fn succeed(
        &mut self,
        server: &Arc<Server>,
        attempt: Box<Attempt>,
        jid: Jid,
        data: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Followed {
        let Profile::Sasl2(wishes) = &attempt.profile else {
            info!(account = %jid, address = %self.address, "signed in");
            out.extend(classic::success(data).as_bytes());
            self.stage = Stage::Authenticated(jid);
            return Ok(Next::Restart);
        };
        // XEP-0388 §2.6.1: what was asked for inline happens now, and its answers go into <success/>.
        let mut inline = match self.admit(server, &attempt, wishes, &jid).await {
            Ok(issued) => issued.as_ref().map_or_else(String::new, sasl2::token),
            Err(failure) => return self.fail(server, &attempt, failure, out),
        };
        // XEP-0198 §9: a session that goes on needs no resource, and has no features to negotiate.
        if let Some((session, epoch)) = before_bind(server, &jid, wishes, &mut inline).await? {
            // Whoever goes on with a session has it now, and loses it when it is signed out.
            if let Some(device) = self.device {
                server.note_device(&session, device);
            }
            out.extend(sasl2::success(data, &session.jid, &inline).as_bytes());
            self.stage = Stage::Bound;
            return Ok(Next::Bound(session, epoch));
        }
        let Some(bind) = &wishes.bind else {
            out.extend(sasl2::success(data, &jid, &inline).as_bytes());
            out.extend(features::before_bind(server).as_bytes());
            self.stage = Stage::Authenticated(jid);
            return Ok(Next::Authenticated);
        };
        match bind2::perform(server, &jid, bind, self.by_starttls, self.device).await {
            Ok((session, bound)) => {
                inline.push_str(&bound);
                out.extend(sasl2::success(data, &session.jid, &inline).as_bytes());
                out.extend(features::bound(server, &session).as_bytes());
                self.stage = Stage::Bound;
                let epoch = session.outbox.epoch();
                Ok(Next::Bound(session, epoch))
            }
            // XEP-0386 knows no failure of its own: the login as a whole has to be tried again.
            Err(error) => {
                debug!(account = %jid, condition = error.condition, "no resource for a session");
                self.fail(server, &attempt, SaslFailure::TEMPORARY_AUTH_FAILURE, out)
            }
        }
    }

    /// Notes where the client signs in from; the token that it takes along.
    async fn admit(
        &mut self,
        server: &Arc<Server>,
        attempt: &Attempt,
        wishes: &sasl2::Wishes,
        jid: &Jid,
    ) -> Result<Option<Issued>, SaslFailure> {
        self.device = None;
        let mut issued = None;
        if let (Some(device), Some(agent)) = (attempt.device(), &wishes.agent) {
            let fast = wishes.fast.as_ref();
            let arrival = Arrival {
                id: device.id,
                key: &device.tokens,
                software: &agent.software,
                name: &agent.device,
                used: device.proved.zip(fast).map(|(seed, fast)| Used {
                    seed,
                    count: fast.count,
                    invalidate: fast.invalidate,
                }),
                wants: wishes
                    .wants_token
                    .filter(|channel| self.bindings.have(*channel)),
            };
            let local = jid.localpart().ok_or(SaslFailure::NOT_AUTHORIZED)?;
            issued = server.admit(local, &arrival).await?;
            self.device = Some(device.id);
        }
        info!(account = %jid, address = %self.address, "signed in");
        Ok(issued)
    }

    /// Refuses an attempt. Wrong passwords are counted, and may have to wait for their answer.
    fn fail(
        &mut self,
        server: &Server,
        attempt: &Attempt,
        failure: SaslFailure,
        out: &mut Vec<u8>,
    ) -> Followed {
        self.stage = Stage::Secured(None);
        let delay = self.slow_down(server, attempt, failure);
        if delay == 0 {
            return self.refuse(&attempt.profile, failure, out);
        }
        self.until += delay;
        self.delayed = Some(Delayed {
            until: server.clock().elapsed_ms() + delay,
            answer: attempt.profile.failure(failure),
        });
        Ok(Next::Stay)
    }

    /// Milliseconds until the answer.
    fn slow_down(&self, server: &Server, attempt: &Attempt, failure: SaslFailure) -> u64 {
        let Some(name) = attempt.name() else {
            return 0;
        };
        // A name that nobody has may be a password in the wrong field, so it is not logged.
        let account = attempt.account().map_or("?", Jid::as_str);
        info!(account, address = %self.address, condition = failure.condition, "login refused");
        let per_minute = server.config().limits.login_failures_per_minute;
        let throttle = &server.logins().throttle;
        let now = server.clock().elapsed_ms();
        match failure {
            SaslFailure::NOT_AUTHORIZED => throttle.failed(self.address, name, per_minute, now),
            SaslFailure::CREDENTIALS_EXPIRED => {
                throttle.failed_token(self.address, name, per_minute, now)
            }
            _ => 0,
        }
    }
}

/// What an authenticated client asked for that comes before a resource is bound: to go on with a session it
/// had (XEP-0198 §9.2). With its answer in `inline`, the session and which of its connections this is; `None`
/// where the client needs a resource. An error ends the stream.
async fn before_bind(
    server: &Arc<Server>,
    account: &Jid,
    wishes: &sasl2::Wishes,
    inline: &mut String,
) -> Result<Option<(Arc<Session>, u32)>, StreamError> {
    let Some(request) = &wishes.resume else {
        return Ok(None);
    };
    match resume(server, account, request).await {
        Ok((session, epoch, resumed)) => {
            inline.push_str(&resumed);
            Ok(Some((session, epoch)))
        }
        Err(Refused::Kindly(failed)) => {
            inline.push_str(&failed);
            Ok(None)
        }
        Err(Refused::ForGood(error)) => Err(error),
    }
}
