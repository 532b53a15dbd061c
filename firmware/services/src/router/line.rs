//! What one router does for one family: finds the protocol that it speaks, opens what is wanted, keeps it
//! open, and notices when it was forgotten. [`Line`] owns the protocol and the leases; time comes in.

use super::{
    limits::{AGAIN_MS_MAX, AGAIN_MS_MIN, LEASE_S, LEASE_S_MIN, LOOK_MS, RENEW_MS_MAX},
    port::{Lease, Port, Refusal, Wanted},
    speaker::{KINDS_V4, KINDS_V6, Kind, Speaker},
};
use crate::links::Links;
use server::world::Clock;
use std::net::Ipv4Addr;
use tracing::{debug, info};

pub(super) struct Line {
    pub(super) is_v6: bool,
    speaker: Option<Speaker>,
    pub(super) open: Vec<Held>,
    pub(super) refused: Vec<(Port, Refusal)>,
    pub(super) external: Option<Ipv4Addr>,
    /// Whether anybody was looked for.
    pub(super) has_tried: bool,
    failures: u32,
    /// When the next look or attempt is due.
    due_ms: u64,
    /// When all leases are renewed.
    renew_ms: u64,
}

/// A port that is open.
pub(super) struct Held {
    pub(super) port: Port,
    pub(super) lease: Lease,
}

impl Line {
    pub(super) fn new(is_v6: bool) -> Line {
        Line {
            is_v6,
            speaker: None,
            open: Vec::new(),
            refused: Vec::new(),
            external: None,
            has_tried: false,
            failures: 0,
            due_ms: 0,
            renew_ms: 0,
        }
    }

    pub(super) fn due_ms(&self) -> u64 {
        self.due_ms.min(self.renew_ms)
    }

    pub(super) fn protocol(&self) -> Option<&'static str> {
        self.speaker.as_ref().map(Speaker::name)
    }

    /// The network is another one now, and perhaps the router: it is looked for again. What the one before
    /// opened ends by itself.
    pub(super) fn begin_again(&mut self) {
        *self = Line::new(self.is_v6);
    }

    /// Something else is wanted now.
    pub(super) fn ask_again(&mut self) {
        self.failures = 0;
        self.due_ms = 0;
        self.renew_ms = 0;
    }

    /// Does what is due.
    pub(super) async fn work(
        &mut self,
        wanted: &Wanted,
        links: &Links,
        secret: &[u8],
        clock: &dyn Clock,
    ) {
        let now = clock.elapsed_ms();
        if now < self.due_ms() {
            return;
        }
        if self.speaker.is_some() && now < self.renew_ms {
            self.look(clock).await;
        }
        if self.speaker.is_some() && clock.elapsed_ms() >= self.renew_ms {
            self.renew(wanted, clock).await;
        }
        if self.speaker.is_none() {
            self.find(wanted, links, secret, clock).await;
        }
    }

    /// Whether the router is as it was.
    async fn look(&mut self, clock: &dyn Clock) {
        let now = clock.elapsed_ms();
        self.due_ms = now + LOOK_MS;
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        let first = self.open.first().map(|held| held.port.clone());
        match speaker.look(first.as_ref(), LEASE_S, now / 1_000).await {
            Ok(told) => {
                if told.is_lost {
                    info!("the router has started again: its ports are opened anew");
                    self.renew_ms = now;
                }
                self.external = told.external.or(self.external);
            }
            Err(refusal) => {
                debug!(?refusal, "the router does not answer as before");
                self.give_up(now);
                self.due_ms = now;
            }
        }
    }

    /// Tries one protocol after another, until one of them does something for us.
    async fn find(&mut self, wanted: &Wanted, links: &Links, secret: &[u8], clock: &dyn Clock) {
        let kinds: &[Kind] = if self.is_v6 { &KINDS_V6 } else { &KINDS_V4 };
        self.refused.clear();
        for kind in kinds {
            if wanted.ports.is_empty() && *kind == Kind::Pcp {
                continue; // it tells its address with a port alone
            }
            self.speaker = Speaker::find(*kind, self.is_v6, links, secret).await;
            if self.speaker.is_none() {
                continue;
            }
            self.renew(wanted, clock).await;
            if self.speaker.is_some() {
                let (protocol, ports) = (self.protocol(), self.open.len());
                info!(
                    protocol,
                    ports,
                    is_v6 = self.is_v6,
                    "the router opens ports"
                );
                self.failures = 0;
                self.has_tried = true;
                return;
            }
        }
        self.has_tried = true;
        self.give_up(clock.elapsed_ms());
    }

    /// Opens everything that is wanted, again or for the first time, and closes what no longer is. Nobody is
    /// left to speak to where nothing came of it.
    async fn renew(&mut self, wanted: &Wanted, clock: &dyn Clock) {
        let Some(speaker) = &mut self.speaker else {
            return;
        };
        while let Some(at) = self
            .open
            .iter()
            .position(|held| !wanted.ports.contains(&held.port))
        {
            let gone = self.open.swap_remove(at);
            speaker.unmap(&gone.port, clock.elapsed_ms() / 1_000).await;
        }
        let (mut external, mut refused) = (None, Vec::new());
        for port in &wanted.ports {
            let (outcome, told) = speaker.map(port, LEASE_S, clock.elapsed_ms() / 1_000).await;
            external = told.external.or(external);
            let is_silent = outcome == Err(Refusal::Silent);
            self.open.retain(|held| held.port != *port);
            match outcome {
                Ok(lease) => self.open.push(Held {
                    port: port.clone(),
                    lease,
                }),
                Err(refusal) => refused.push((port.clone(), refusal)),
            }
            if is_silent && self.open.is_empty() {
                break; // who is silent once is silent ten times
            }
        }
        let now = clock.elapsed_ms();
        let mut is_good = !self.open.is_empty();
        if !self.is_v6 && external.is_none() && (is_good || wanted.asks_address) {
            let look = speaker.look(None, LEASE_S, now / 1_000).await;
            external = look.ok().and_then(|it| it.external);
            is_good |= external.is_some();
        }
        // A refusal says more than silence does, whichever protocol it came in.
        let says_more = refused.iter().any(|(_, why)| *why != Refusal::Silent);
        if is_good || says_more || self.refused.is_empty() {
            self.refused = refused;
        }
        if is_good {
            self.external = external.or(self.external);
            self.renew_ms = now + self.renewal_ms();
            self.due_ms = now + LOOK_MS;
        } else {
            self.speaker = None;
        }
    }

    /// Half of the shortest lease (RFC 6886 §3.3) or sooner.
    fn renewal_ms(&mut self) -> u64 {
        let seconds = self.open.iter().map(|held| held.lease.seconds);
        let shortest = seconds.filter(|seconds| *seconds != 0).min();
        let shortest = shortest.unwrap_or(LEASE_S).clamp(LEASE_S_MIN, LEASE_S);
        let half = (u64::from(shortest) * 500).min(RENEW_MS_MAX);
        if self.refused.is_empty() {
            self.failures = 0;
            return half;
        }
        self.again_ms().min(half)
    }

    fn again_ms(&mut self) -> u64 {
        let wait = AGAIN_MS_MIN << self.failures.min(10);
        self.failures += 1;
        wait.min(AGAIN_MS_MAX)
    }

    fn give_up(&mut self, now_ms: u64) {
        self.speaker = None;
        self.open.clear();
        self.external = None;
        self.due_ms = now_ms + self.again_ms();
        self.renew_ms = u64::MAX;
    }

    /// Closes everything: nothing is wanted any more.
    pub(super) async fn close(&mut self, now_ms: u64) {
        let Line {
            speaker: Some(speaker),
            open,
            ..
        } = self
        else {
            return;
        };
        for held in open.drain(..) {
            speaker.unmap(&held.port, now_ms / 1_000).await;
        }
        self.begin_again();
    }
}
