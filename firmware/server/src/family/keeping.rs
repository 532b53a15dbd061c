//! Making everything as it is switched on: what is missing is read from the disk at one moment, and done
//! account by account, one small batch of writes each. Done twice it changes nothing, so a power cut in
//! between only leaves more for the next time.

use super::{
    contacts::{self, Step},
    read,
    record::{CONTACT, ContactRecord, FAMILY, FamilyRecord, MEMBER, MemberRecord},
    room::{self, Invitation, Newcomer},
};
use crate::{
    account::{Account, Cx},
    accounts::{self, AccountRecord},
    features::ALL,
    limits::FAMILY_ACCOUNTS_MAX,
    presence,
    roster::{ITEM, Item, RosterVersion, VERSION},
    server::Server,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::{Error, Snapshot, Urgency};
use tokio::sync::{Mutex, MutexGuard};
use tracing::{error, warn};
use xmpp::Jid;

/// Whoever changes the household's settings, or brings it up to them, takes turns. No account is locked by
/// it.
#[derive(Default)]
pub(crate) struct Keeper(Mutex<()>);

impl Keeper {
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.0.lock().await
    }
}

/// An account of the household.
struct Person {
    jid: Jid,
    localpart: String,
    record: AccountRecord,
}

/// For each contact, what is to be done.
type Steps = Vec<(Jid, Step)>;

/// What is missing.
struct Plan {
    family: FamilyRecord,
    /// By their age; no more than [`FAMILY_ACCOUNTS_MAX`].
    people: Vec<Person>,
    /// Every account there is.
    accounts: BTreeSet<Jid>,
    administrators: BTreeSet<Jid>,
    /// What is to be done for the contacts of which account.
    steps: Vec<(u32, Steps)>,
    members: BTreeMap<u32, MemberRecord>,
}

impl Plan {
    /// `None` where nothing was ever switched on.
    fn read(server: &Server) -> Result<Option<Plan>, Error> {
        let store = server.store();
        let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
        if FAMILY.get(&snapshot, &())?.is_none() {
            return Ok(None);
        }
        let family = read(&snapshot)?;
        let mut people = Vec::new();
        for (localpart, record) in accounts::records(&snapshot)? {
            if let Ok(jid) = Jid::from_parts(Some(&localpart), server.domain().as_str(), None) {
                people.push(Person {
                    jid,
                    localpart,
                    record,
                });
            }
        }
        let accounts = people.iter().map(|person| person.jid.clone()).collect();
        people.sort_by_key(|person| person.record.id);
        if people.len() > FAMILY_ACCOUNTS_MAX {
            warn!(
                "only the first {FAMILY_ACCOUNTS_MAX} accounts are in the household's room and group"
            );
            people.truncate(FAMILY_ACCOUNTS_MAX);
        }
        let steps = steps(&snapshot, &family.group, &people, &accounts)?;
        let mut members = BTreeMap::new();
        for row in MEMBER.range(&snapshot, ..)? {
            let (id, record) = row?;
            members.insert(id, record);
        }
        let administrators = accounts::administrators(&snapshot, &server.config())?;
        Ok(Some(Plan {
            family,
            people,
            accounts,
            administrators,
            steps,
            members,
        }))
    }

    fn person(&self, id: u32) -> Option<&Person> {
        self.people.iter().find(|person| person.record.id == id)
    }

    /// Who is not in the room yet. A disabled account comes in when it is enabled.
    fn newcomers(&self, number: u32) -> Vec<Newcomer> {
        let is_new = |person: &&Person| {
            let known = self.members.get(&person.record.id);
            person.record.enabled && known.is_none_or(|known| known.room != number)
        };
        let newcomer = |person: &Person| Newcomer {
            jid: person.jid.clone(),
            display_name: person.record.display_name.clone(),
            is_administrator: self.administrators.contains(&person.jid),
        };
        self.people.iter().filter(is_new).map(newcomer).collect()
    }
}

/// What is missing or too much between the contacts of each.
fn steps(
    snapshot: &Snapshot,
    group: &str,
    people: &[Person],
    accounts: &BTreeSet<Jid>,
) -> Result<Vec<(u32, Steps)>, Error> {
    let wanted: BTreeMap<&Jid, &Person> = match group {
        "" => BTreeMap::new(),
        _ => people.iter().map(|person| (&person.jid, person)).collect(),
    };
    let ids: BTreeMap<&Jid, u32> = people.iter().map(|it| (&it.jid, it.record.id)).collect();
    let mut all = Vec::new();
    for person in people {
        let id = person.record.id;
        let mut known = BTreeSet::new();
        let mut steps = Vec::new();
        for row in CONTACT.prefix(snapshot, &id)? {
            let ((_, contact), record) = row?;
            let Ok(contact) = Jid::parse(&contact) else {
                continue;
            };
            if !accounts.contains(&contact) {
                steps.push((contact, Step::Gone(record)));
            } else if !wanted.contains_key(&contact) {
                let other = ids.get(&contact).map(|other| (*other, &person.jid));
                let untouched = is_untouched(snapshot, (id, &contact), Some(&record))?
                    && other.map_or(Ok(false), |other| is_untouched(snapshot, other, None))?;
                let step = if untouched {
                    Step::Undo(record)
                } else {
                    Step::LetBe
                };
                steps.push((contact, step));
            } else {
                known.insert(contact);
            }
        }
        for (jid, contact) in &wanted {
            if **jid != person.jid && !known.contains(*jid) {
                let name = contacts::entry_name(&contact.record.display_name);
                let group = group.to_owned();
                steps.push(((*jid).clone(), Step::Make { name, group }));
            }
        }
        if !steps.is_empty() {
            all.push((id, steps));
        }
    }
    Ok(all)
}

/// Whether an account's entry for another one is as it was made, by what is on disk.
fn is_untouched(
    snapshot: &Snapshot,
    (id, contact): (u32, &Jid),
    record: Option<&ContactRecord>,
) -> Result<bool, Error> {
    let key = (id, contact.as_str().to_owned());
    let read = match record {
        Some(_) => None,
        None => CONTACT.get(snapshot, &key)?,
    };
    let item = ITEM.get(snapshot, &key)?.map(Item::from);
    let record = record.or(read.as_ref());
    Ok(record.is_some_and(|record| contacts::is_untouched(item.as_ref(), record)))
}

/// In an account: does what is to be done. Who sees it from now on, and whom it sees.
fn take_steps(cx: &mut Cx<'_>, steps: &[(Jid, Step)]) -> (Vec<Jid>, Vec<Jid>) {
    let (mut seen_by, mut sees) = (Vec::new(), Vec::new());
    for (contact, step) in steps {
        let known = cx.state.roster.get(contact).cloned();
        let before = known
            .as_ref()
            .map(|item| item.subscription)
            .unwrap_or_default();
        let (item, record) = contacts::after(known.as_ref(), step);
        if let Some(item) = item {
            if item.listed && !cx.state.roster.has_room(contact, &item) {
                warn!(account = %cx.jid(), "the contact list is full: somebody of the house is missing");
                continue;
            }
            let after = item.subscription;
            if before.from && !after.from {
                presence::show_unavailable(cx, contact); // while the contact may still see it
            }
            presence::put(cx, contact, item);
            presence::push_item(cx, contact);
            seen_by.extend((after.from && !before.from).then(|| contact.clone()));
            sees.extend((after.to && !before.to).then(|| contact.clone()));
        }
        let key = (cx.id(), contact.as_str().to_owned());
        cx.write(match record {
            Some(record) => CONTACT.put(&key, &record),
            None => CONTACT.remove(&key),
        });
    }
    (seen_by, sees)
}

impl Server {
    /// Brings rosters, the room and the bookmarks up to what is switched on.
    pub async fn keep_family(self: &Arc<Self>) {
        let turn = self.family_keeper().turn().await;
        self.keep_family_in(&turn).await;
    }

    /// The same for whoever has the turn.
    pub(super) async fn keep_family_in(self: &Arc<Self>, _: &MutexGuard<'_, ()>) {
        let server = self.clone();
        let plan = match self.on_reader(move || Plan::read(&server)).await {
            Some(Ok(Some(plan))) => plan,
            Some(Err(error)) => return error!(%error, "the household cannot be read"),
            Some(Ok(None)) | None => return,
        };
        self.keep_contacts(&plan).await;
        self.keep_room(&plan).await;
    }

    async fn keep_contacts(self: &Arc<Self>, plan: &Plan) {
        let mut shown = Vec::new();
        for (id, steps) in &plan.steps {
            let Some(person) = plan.person(*id) else {
                continue;
            };
            match self.load(&person.localpart).await {
                Ok(Some(account)) => {
                    let (seen_by, sees) = self.at(&account, 0, |cx| take_steps(cx, steps));
                    self.settle(&account).await;
                    shown.push((account, seen_by, sees));
                }
                Ok(None) => self.take_steps_unseen(person, steps).await,
                Err(error) => error!(account = %person.jid, %error, "cannot be loaded"),
            }
        }
        // Only now both know one another.
        for (account, seen_by, sees) in shown {
            self.at(&account, 0, |cx| show(cx, &seen_by, &sees));
            self.settle(&account).await;
        }
    }

    /// For a disabled account, which nobody loads: on the disk alone.
    async fn take_steps_unseen(self: &Arc<Self>, person: &Person, steps: &[(Jid, Step)]) {
        let (server, steps) = (self.clone(), steps.to_vec());
        let (localpart, id) = (person.localpart.clone(), person.record.id);
        let done = self.on_reader(move || {
            server.before_loading(&localpart, || server.write_steps(id, &steps))
        });
        if let Some(Some(Err(error))) = done.await {
            error!(account = %person.jid, %error, "contacts of the house are not written");
        }
    }

    fn write_steps(&self, id: u32, steps: &[(Jid, Step)]) -> Result<(), Error> {
        let store = self.store();
        let snapshot = store.snapshot_after(store.queue(Vec::new(), Urgency::Now))?;
        let mut writes = Vec::new();
        for (contact, step) in steps {
            let key = (id, contact.as_str().to_owned());
            let known = ITEM.get(&snapshot, &key)?.map(Item::from);
            let (item, record) = contacts::after(known.as_ref(), step);
            writes.extend(item.map(|item| item.write(id, contact)));
            writes.push(match record {
                Some(record) => CONTACT.put(&key, &record),
                None => CONTACT.remove(&key),
            });
        }
        let version = RosterVersion::new(store.start_count(), self.next_number());
        writes.push(VERSION.put(&id, &version));
        store.queue(writes, Urgency::Now);
        Ok(())
    }

    async fn keep_room(self: &Arc<Self>, plan: &Plan) {
        let Some(setting) = &plan.family.room else {
            return;
        };
        let Ok(address) = self.room_address(&setting.localpart) else {
            return;
        };
        let room = match self.load(address.as_str()).await {
            Ok(room) => room.filter(|room| room.id == setting.number),
            Err(error) => return error!(room = %address, %error, "cannot be loaded"),
        };
        match room {
            Some(room) if plan.family.room_on => self.invite_all(plan, &room).await,
            Some(_) => self.take_back_all(plan, &address).await,
            None => {
                // Its owner destroyed it, or the administrator did.
                let off = FamilyRecord {
                    room_on: false,
                    room: None,
                    ..plan.family.clone()
                };
                self.store()
                    .queue(vec![FAMILY.put(&(), &off)], Urgency::Now);
                self.take_back_all(plan, &address).await;
            }
        }
    }

    async fn invite_all(self: &Arc<Self>, plan: &Plan, room: &Arc<Account>) {
        let newcomers = plan.newcomers(room.id);
        let house = self.domain().as_str();
        let admitted = self.at(room, 0, |cx| {
            room::admit(cx, &newcomers, &plan.accounts, house)
        });
        self.settle(room).await;
        for (jid, invitation) in admitted {
            self.invite(&jid, room.id, invitation.as_ref()).await;
        }
    }

    async fn invite(self: &Arc<Self>, who: &Jid, number: u32, invitation: Option<&Invitation>) {
        match self.load(who.localpart().unwrap_or_default()).await {
            Ok(Some(account)) => {
                self.at(&account, 0, |cx| room::invite(cx, number, invitation));
                self.settle(&account).await;
            }
            Ok(None) => {} // disabled a moment ago
            Err(error) => error!(account = %who, %error, "cannot be loaded"),
        }
    }

    async fn take_back_all(self: &Arc<Self>, plan: &Plan, room: &Jid) {
        for (id, record) in &plan.members {
            let Some(person) = plan.person(*id) else {
                continue;
            };
            match self.load(&person.localpart).await {
                Ok(Some(account)) => {
                    self.at(&account, 0, |cx| room::take_back(cx, room, record));
                    self.settle(&account).await;
                }
                Ok(None) => {} // when it is enabled
                Err(error) => error!(account = %person.jid, %error, "cannot be loaded"),
            }
        }
    }
}

/// Presence to those who see it from now on, and what features have for those whom it sees (RFC 6121 §3.1.5).
fn show(cx: &mut Cx<'_>, seen_by: &[Jid], sees: &[Jid]) {
    for contact in seen_by {
        presence::show_available(cx, contact);
    }
    for contact in sees {
        for hook in ALL.iter().filter_map(|feature| feature.subscribed) {
            hook(cx, contact);
        }
    }
}
