//! Where requests are carried out: by the running server for commands that come through the control socket,
//! or by the command itself when no server runs. The result is the same.
//!
//! Requests that change something take turns: each sees what the one before it has made durable.

mod checks;
mod family;
mod rooms;

use crate::{
    control::protocol::{
        AccountLine, Answer, DeviceLine, FamilyShown, Listeners, NewAccount, RecordsQuestion,
        ReportLine, Request, StanzaId, Status, TrialLine,
    },
    machine::{self, MachineDice},
    reach,
};
use anyhow::{Result, bail};
use household::{Config, Finding, Health, Level, Numbers};
use server::{
    AccountChange, Report, Server,
    accounts::{self, Listed, Refusal},
    devices,
    tls::Certificate,
};
use services::dns::Dns;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use store::{Durable, Snapshot, Store, Urgency, Write};
use tokio::runtime::Handle;

/// What differs between a running server and a command alone.
pub(crate) trait Host: Send + Sync {
    /// The configuration in force.
    fn config(&self) -> Arc<Config>;
    /// An account was changed, durably. Called outside of the runtime; may block.
    fn account_changed(&self, localpart: &str, change: AccountChange);
    /// Taken by whoever changes something: people do so in band, too.
    fn turn(&self) -> MutexGuard<'_, ()>;
    /// How many accounts there are, where somebody else keeps count.
    fn accounts(&self) -> Option<u64>;
    /// Devices of an account that are connected now.
    fn connected_devices(&self, localpart: &str) -> Vec<devices::Id>;
    /// Sends each push service of an account a test, and waits for what becomes of it. `None` where there is
    /// no account in use, or no server. Called outside of the runtime; blocks.
    fn try_push(&self, localpart: &str) -> Option<Vec<TrialLine>>;
    fn status(&self, accounts: u64, rooms: u64) -> Status;
    /// The one in use, where a server runs.
    fn certificate(&self) -> Option<Certificate>;
    /// Looks at our doors, as `check ports` and `check turn` ask. `None` without a server. Called outside of
    /// the runtime; blocks.
    fn look_at(&self, what: Doors) -> Option<Vec<Finding>>;
    /// The server, where one runs.
    fn running(&self) -> Option<Running<'_>>;
}

/// What of the way in is looked at.
#[derive(Clone, Copy)]
pub(crate) enum Doors {
    Ports,
    Turn,
}

/// Only a running server has doors.
pub(crate) const NOT_RUNNING: &str = "the server is not running, so nothing could be tried";

/// A running server, for those who may wait for it: outside of the runtime.
pub(crate) struct Running<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) runtime: &'a Handle,
    pub(crate) dns: &'a Dns,
}

impl Running<'_> {
    /// Does it, and waits until it is done.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Where requests are carried out.
pub(crate) struct Desk {
    host: Box<dyn Host>,
    store: Arc<Store>,
    /// How many there are, for who asks often.
    accounts: AtomicU64,
}

/// Refuses the data of another domain. Asked before anything is made for this one: a certificate made anew
/// would be another than the one that clients trust.
pub(crate) fn refuse_other_domain(store: &Store, config: &Config) -> Result<()> {
    match accounts::domain(&store.snapshot()?)? {
        Some(domain) if domain != config.domain => bail!(
            "the accounts in {} are of {domain}, and the configuration says domain = \"{}\": \
             put domain = \"{domain}\" back, or choose another data_dir",
            config.data_dir.display(),
            config.domain,
        ),
        _ => Ok(()),
    }
}

impl Desk {
    /// A desk over this store, whose domain is ours.
    pub(crate) fn new(host: Box<dyn Host>, store: Arc<Store>) -> Result<Desk> {
        let desk = Desk {
            host,
            store,
            accounts: AtomicU64::new(0),
        };
        desk.count(&desk.snapshot()?)?;
        // What was removed just before a power cut.
        desk.sweep()?;
        Ok(desk)
    }

    /// A desk without a server.
    pub(crate) fn alone(config: Arc<Config>, store: Arc<Store>) -> Result<Desk> {
        refuse_other_domain(&store, &config)?;
        Desk::new(Box::new(Alone::new(config)), store)
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> u64 {
        let counted = self.accounts.load(Ordering::Relaxed);
        self.host.accounts().unwrap_or(counted)
    }

    /// Carries out a request. Blocks on the disk.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        self.carry_out(request)
            .unwrap_or_else(|error| Answer::Refused(format!("{error:#}")))
    }

    fn carry_out(&self, request: &Request) -> Result<Answer> {
        match request {
            Request::Add(account) => self.add(account),
            Request::Import { accounts } => self.import(accounts),
            Request::Passwd {
                localpart,
                password,
            } => self.change(localpart, AccountChange::PasswordChanged, |snapshot| {
                accounts::passwd(snapshot, localpart, password, &MachineDice)
            }),
            Request::Remove { localpart } => self.remove(localpart),
            Request::Disable { localpart } => {
                self.change(localpart, AccountChange::Disabled, |snapshot| {
                    accounts::disable(snapshot, localpart)
                })
            }
            Request::Enable { localpart } => {
                self.change(localpart, AccountChange::Enabled, |snapshot| {
                    accounts::enable(snapshot, localpart)
                })
            }
            Request::Keep { localpart, seconds } => self.keep(localpart, *seconds),
            Request::WouldGo { localpart, seconds } => self.would_go(localpart, *seconds),
            Request::List => self.list(),
            Request::Show { localpart } => self.show(localpart),
            Request::Devices { localpart } => self.devices(localpart),
            Request::SignOut { localpart, device } => self.sign_out(localpart, device),
            Request::PushTest { localpart } => self.try_push(localpart),
            Request::Reports => self.reports(),
            Request::ListRooms => self.list_rooms(),
            Request::ShowRoom { localpart } => self.show_room(localpart),
            Request::CreateRoom {
                localpart,
                name,
                members_only,
            } => self.create_room(localpart, name, *members_only),
            Request::DestroyRoom { localpart } => self.destroy_room(localpart),
            Request::ShowFamily => self.show_family(),
            Request::FamilyRoomOn { localpart, name } => {
                self.family_room_on(localpart.as_deref(), name)
            }
            Request::FamilyRoomOff => self.family_room_off(),
            Request::FamilyContactsOn { group } => self.family_contacts_on(group),
            Request::FamilyContactsOff => self.family_contacts_off(),
            Request::Records { question } => self.records(*question),
            Request::CheckStorage => Ok(self.check_storage()),
            Request::CheckTls => self.check_tls(),
            Request::CheckClock => self.check_clock(),
            Request::CheckPorts => self.look_at(Doors::Ports),
            Request::CheckTurn => self.look_at(Doors::Turn),
            Request::Status => {
                let (accounts, rooms) = (self.accounts(), self.rooms()?);
                Ok(Answer::Status(self.host.status(accounts, rooms)))
            }
        }
    }

    fn list(&self) -> Result<Answer> {
        let listed = accounts::list(&self.snapshot()?)?;
        let lines = listed.into_iter().map(|listed| self.line(listed));
        Ok(Answer::Accounts(lines.collect()))
    }

    fn check_storage(&self) -> Answer {
        let config = self.host.config();
        Answer::Findings(machine::check_store(&self.store, &config))
    }

    fn look_at(&self, what: Doors) -> Result<Answer> {
        match self.host.look_at(what) {
            Some(findings) => Ok(Answer::Findings(findings)),
            None => bail!(NOT_RUNNING),
        }
    }

    fn add(&self, account: &NewAccount) -> Result<Answer> {
        self.change(&account.localpart, AccountChange::Added, |snapshot| {
            accounts::add(
                snapshot,
                &self.host.config().domain,
                &to_make(account),
                machine::now_ms(),
                &MachineDice,
            )
        })
    }

    fn remove(&self, localpart: &str) -> Result<Answer> {
        let answer = self.change(localpart, AccountChange::Removed, |snapshot| {
            accounts::remove(snapshot, localpart, machine::now_ms())
        })?;
        self.sweep()?;
        Ok(answer)
    }

    fn show(&self, localpart: &str) -> Result<Answer> {
        match accounts::show(&self.snapshot()?, localpart) {
            Ok(listed) => Ok(Answer::Account(self.line(listed))),
            Err(refusal) => Err(self.refused(localpart, &refusal)),
        }
    }

    /// One change of one account.
    fn change(
        &self,
        localpart: &str,
        change: AccountChange,
        decide: impl FnOnce(&Snapshot) -> Result<Vec<Write>, Refusal>,
    ) -> Result<Answer> {
        let turn = self.host.turn();
        let writes =
            decide(&self.snapshot()?).map_err(|refusal| self.refused(localpart, &refusal))?;
        self.write(writes, Urgency::Now)?;
        drop(turn);
        self.host.account_changed(localpart, change);
        Ok(Answer::Done)
    }

    fn records(&self, question: RecordsQuestion) -> Result<Answer> {
        match self.host.running() {
            Some(running) => running.wait(reach::dns::answer(running.dns, question)),
            None => reach::dns::alone(&self.host.config(), &self.store, question),
        }
    }

    fn keep(&self, localpart: &str, seconds: Option<u64>) -> Result<Answer> {
        self.change(localpart, AccountChange::KeepChanged, |snapshot| {
            accounts::keep(snapshot, localpart, seconds.map(Duration::from_secs))
        })
    }

    fn would_go(&self, localpart: &str, seconds: u64) -> Result<Answer> {
        let (keep, now) = (Duration::from_secs(seconds), machine::now_ms());
        match accounts::would_go(&self.snapshot()?, localpart, keep, now) {
            Ok(messages) => Ok(Answer::Messages(messages)),
            Err(refusal) => Err(self.refused(localpart, &refusal)),
        }
    }

    fn devices(&self, localpart: &str) -> Result<Answer> {
        let listed = devices::list(&self.snapshot()?, localpart, machine::now_ms())
            .map_err(|refusal| self.refused(localpart, &refusal))?;
        let connected = self.host.connected_devices(localpart);
        let line = |listed: devices::Listed| DeviceLine {
            connected: connected.contains(&listed.id),
            id: listed.id.to_string(),
            software: listed.software,
            device: listed.name,
            first_seen: xmpp::datetime::format(listed.first_seen_ms),
            last_seen: xmpp::datetime::format(listed.last_seen_ms),
            password: listed.password,
            token: listed.token,
        };
        Ok(Answer::Devices(listed.into_iter().map(line).collect()))
    }

    fn sign_out(&self, localpart: &str, device: &str) -> Result<Answer> {
        let id = device
            .parse()
            .map_err(|()| self.refused(localpart, &Refusal::UnknownDevice))?;
        self.change(localpart, AccountChange::SignedOut(id), |snapshot| {
            devices::sign_out(snapshot, localpart, id)
        })
    }

    fn try_push(&self, localpart: &str) -> Result<Answer> {
        let known = accounts::show(&self.snapshot()?, localpart);
        let known = known.map_err(|refusal| self.refused(localpart, &refusal))?;
        if !known.record.enabled {
            bail!(
                "{localpart}@{} is disabled: nobody is told anything",
                self.host.config().domain
            );
        }
        match self.host.try_push(localpart) {
            Some(trials) => Ok(Answer::Trials(trials)),
            None => {
                bail!("no server is running that could send a push: start it with `hearth serve`")
            }
        }
    }

    fn import(&self, lines: &[(u64, NewAccount)]) -> Result<Answer> {
        let turn = self.host.turn();
        let new: Vec<_> = lines.iter().map(|(_, account)| to_make(account)).collect();
        let domain = &self.host.config().domain;
        let writes = accounts::import(
            &self.snapshot()?,
            domain,
            &new,
            machine::now_ms(),
            &MachineDice,
        );
        let writes = writes.map_err(|(index, refusal)| {
            let (line, account) = &lines[index];
            self.refused(&account.localpart, &refusal)
                .context(format!("line {line}"))
        })?;
        self.write(writes, Urgency::Now)?;
        drop(turn);
        for (_, account) in lines {
            self.host
                .account_changed(&account.localpart, AccountChange::Added);
        }
        Ok(Answer::Done)
    }

    /// Removes what removed accounts left, in small batches behind everything else. Contacts who are still to
    /// be told are left to a running server.
    fn sweep(&self) -> Result<()> {
        for (localpart, id) in accounts::removed(&self.snapshot()?)? {
            // First: what somebody still writes for it must not come after the last look.
            self.store.retire(id);
            loop {
                let writes = accounts::writes_to_remove(&self.snapshot()?, id)?;
                if writes.is_empty() {
                    break;
                }
                self.write(writes, Urgency::Idle)?;
            }
            if !accounts::rests(&self.snapshot()?, &localpart)? {
                self.write(vec![accounts::swept(&localpart)], Urgency::Now)?;
            }
        }
        Ok(())
    }

    /// Everything that was queued until now.
    fn snapshot(&self) -> Result<Snapshot, store::Error> {
        self.store
            .snapshot_after(self.store.queue(Vec::new(), Urgency::Now))
    }

    /// Returns once the writes are durable.
    fn write(&self, writes: Vec<Write>, urgency: Urgency) -> Result<()> {
        let ticket = self.store.queue(writes, urgency);
        let snapshot = self.store.snapshot_after(ticket);
        match self.store.is_durable(ticket) {
            Some(Durable::Yes) => Ok(self.count(&snapshot?)?),
            _ => match self.store.health().error {
                Some(sentence) => bail!(sentence),
                None => bail!("the disk did not take it: try again"),
            },
        }
    }

    fn count(&self, snapshot: &Snapshot) -> Result<(), store::Error> {
        self.accounts
            .store(accounts::count(snapshot)?, Ordering::Relaxed);
        Ok(())
    }

    fn refused(&self, localpart: &str, refusal: &Refusal) -> anyhow::Error {
        anyhow::anyhow!("{localpart}@{}: {refusal}", self.host.config().domain)
    }

    fn reports(&self) -> Result<Answer> {
        let reports = accounts::reports(&self.snapshot()?)?.into_iter();
        let lines = reports.map(|(by, report)| self.report(&by, report));
        Ok(Answer::Reports(lines.collect()))
    }

    fn report(&self, by: &str, report: Report) -> ReportLine {
        let ids = report.stanza_ids.into_iter();
        ReportLine {
            at: xmpp::datetime::format(report.at),
            by: format!("{by}@{}", self.host.config().domain),
            jid: report.jid.to_string(),
            reason: report.reason,
            text: report.text,
            stanza_ids: ids.map(|(by, id)| StanzaId { by, id }).collect(),
            may_go_to_origin: report.may_go_to_origin,
            may_go_to_third_parties: report.may_go_to_third_parties,
        }
    }

    fn line(&self, listed: Listed) -> AccountLine {
        let config = self.host.config();
        let jid = format!("{}@{}", listed.localpart, config.domain);
        AccountLine {
            admin: listed.record.admin || config.admins.contains(&jid),
            jid,
            enabled: listed.record.enabled,
            display_name: listed.record.display_name,
            last_seen: listed.last_seen_ms.map(xmpp::datetime::format),
            bytes: listed.bytes,
            keep: listed.keep.map(household::config::duration_text),
            removal: listed.removal_ms.map(xmpp::datetime::format),
        }
    }
}

/// The answer to a question where nothing was ever kept: asking makes no data directory.
pub(crate) fn answer_without_data(config: &Arc<Config>, request: &Request) -> Option<Answer> {
    match request {
        Request::List => Some(Answer::Accounts(Vec::new())),
        Request::Reports => Some(Answer::Reports(Vec::new())),
        Request::ListRooms => Some(Answer::Rooms(Vec::new())),
        Request::ShowFamily => Some(Answer::Family(FamilyShown::default())),
        Request::CheckPorts | Request::CheckTurn => Some(Answer::Refused(NOT_RUNNING.to_owned())),
        Request::Status => Some(Answer::Status(Alone::new(config.clone()).status(0, 0))),
        _ => None,
    }
}

fn to_make(account: &NewAccount) -> accounts::NewAccount<'_> {
    accounts::NewAccount {
        localpart: &account.localpart,
        password: &account.password,
        display_name: &account.display_name,
        admin: account.admin,
    }
}

/// No server is running.
struct Alone {
    config: Arc<Config>,
    turn: Mutex<()>,
}

impl Alone {
    fn new(config: Arc<Config>) -> Alone {
        Alone {
            config,
            turn: Mutex::default(),
        }
    }
}

impl Host for Alone {
    fn config(&self) -> Arc<Config> {
        self.config.clone()
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> Option<u64> {
        None
    }

    fn account_changed(&self, _: &str, _: AccountChange) {}

    fn connected_devices(&self, _: &str) -> Vec<devices::Id> {
        Vec::new()
    }

    fn try_push(&self, _: &str) -> Option<Vec<TrialLine>> {
        None
    }

    fn certificate(&self) -> Option<Certificate> {
        None
    }

    fn look_at(&self, _: Doors) -> Option<Vec<Finding>> {
        None
    }

    fn running(&self) -> Option<Running<'_>> {
        None
    }

    fn status(&self, accounts: u64, rooms: u64) -> Status {
        let mut health = Health::default();
        health.set(
            "server",
            Level::Fail,
            "the server is not running: start it with `hearth serve`",
        );
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: None,
            listeners: Listeners::default(),
            health: health.parts().to_vec(),
            numbers: Numbers {
                accounts,
                rooms,
                ..Numbers::default()
            },
            servers: Vec::new(),
        }
    }
}
