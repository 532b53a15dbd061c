//! Certificates of an authority, and the clock that they are judged by: two services, told of the
//! configuration and heard by health. Owns their tasks.

use super::proofs::{Records, tell_issuers};
use crate::{
    house::House,
    machine::{self, MachineClock, MachineDice, MachineTime},
};
use anyhow::Result;
use household::{Config, Finding, config::TlsMode};
use server::s2s::resolve::Resolver;
use services::{
    acme::{Acme, Parts},
    clock::SaneClock,
    http::Http,
};
use std::sync::Arc;
use store::Store;
use tokio::{sync::watch, task::JoinHandle};

/// Before the doors are open.
pub(crate) struct Certificates {
    acme: Acme,
    clock: SaneClock,
    resolver: Arc<Resolver>,
}

/// From then on.
pub(crate) struct Kept {
    acme: Acme,
    resolver: Arc<Resolver>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Certificates {
    /// Puts into use what an authority gave before the last stop.
    pub(crate) fn restore(house: &Arc<House>, store: &Arc<Store>) -> Result<Certificates> {
        let config = house.server.config();
        let resolver = Arc::new(Resolver::new(config.resolver.nameservers.clone()));
        let believed = house.clone();
        let authorities = move || super::authorities(&believed.server.config());
        let http = Http::new(resolver.clone(), Arc::new(authorities));
        let machine = Arc::new(MachineClock::start());
        let clock = SaneClock::new(
            store.clone(),
            machine.clone(),
            Arc::new(MachineTime),
            machine::built_ms(),
        )?;
        let acme = Acme::new(Parts {
            config,
            store: store.clone(),
            tls: house.tls.clone(),
            clock: machine,
            dice: Arc::new(MachineDice),
            outside: Arc::new(http),
            files: house.challenges.clone(),
            dns: Some(Arc::new(Records(house.names.dns.clone()))),
        });
        acme.restore();
        Ok(Certificates {
            acme,
            clock,
            resolver,
        })
    }

    /// The doors are open: authorities find what they look for.
    pub(crate) fn keep(self, house: &Arc<House>) -> Kept {
        let (stop, stopped) = watch::channel(false);
        let sane = self.clock.sane();
        let tasks = vec![
            tokio::spawn(self.clock.clone().keep(stopped.clone())),
            tokio::spawn(self.acme.clone().keep(sane.clone(), stopped)),
            tokio::spawn(report_clock(house.clone(), self.clock, sane)),
            tokio::spawn(report(house.clone(), self.acme.finding())),
            tokio::spawn(tell_issuers(house.names.dns.clone(), self.acme.accounts())),
        ];
        Kept {
            acme: self.acme,
            resolver: self.resolver,
            stop,
            tasks,
        }
    }
}

impl Kept {
    /// The configuration was read again.
    pub(crate) fn follow(&self, config: &Arc<Config>) {
        self.resolver.follow(&config.resolver.nameservers);
        self.acme.follow(config.clone());
    }

    /// The time is saved once more.
    pub(crate) async fn end(self) {
        self.stop.send_replace(true);
        let mut tasks = self.tasks.into_iter();
        for kept in tasks.by_ref().take(2) {
            let _ = kept.await;
        }
        tasks.for_each(|reporting| reporting.abort());
    }
}

/// Tells health how it stands, where certificates come from an authority.
async fn report(house: Arc<House>, mut findings: watch::Receiver<Finding>) {
    loop {
        let finding = findings.borrow_and_update().clone();
        if house.server.config().tls.mode == TlsMode::Acme {
            say(&house, "certificate", finding);
        }
        if findings.changed().await.is_err() {
            return;
        }
    }
}

async fn report_clock(house: Arc<House>, clock: SaneClock, mut sane: watch::Receiver<bool>) {
    loop {
        sane.mark_unchanged();
        say(&house, "clock", clock.finding());
        if sane.changed().await.is_err() {
            return;
        }
    }
}

fn say(house: &House, part: &'static str, finding: Finding) {
    let Finding {
        level, text, next, ..
    } = finding;
    let next = if next.is_empty() {
        next
    } else {
        format!("; {next}")
    };
    house.say(part, level, text + &next);
}
