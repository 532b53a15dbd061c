//! What follows when a room is configured in another way (XEP-0045 §10.2): who has to leave, who is told
//! what, whose role changes.

use super::{
    affiliation,
    announce::{self, News, Told},
    form::Draft,
    kick, leave, room,
};
use crate::{
    account::Cx,
    room::{Affiliation, Config, Occupant, Role, Room, record::AffiliationRecord},
};
use std::collections::{BTreeMap, BTreeSet};
use xmpp::{Jid, StanzaError};

/// The room's configuration changed in a way that has no code of its own.
pub(super) const CHANGED: u16 = 104;

/// Makes of the room what the draft says. `conflict` where nobody would own it any more, and what
/// [`affiliation::may_be_known`] refuses: then nothing changes.
pub(super) fn configure(cx: &mut Cx<'_>, draft: Draft) -> Result<(), StanzaError> {
    let room = room(cx)?;
    let changes = changes(room, &draft)?;
    affiliation::may_be_known(cx, changes.iter().map(|(who, _)| who))?;
    let room = self::room(cx)?;
    let mut before = BTreeMap::new();
    for (who, affiliation) in &changes {
        before.insert(who, room.affiliation(who));
        affiliate(room, who, *affiliation);
    }
    if draft.config.members_only {
        // While addresses are shown to those whom they were shown to: who leaves was never in another room.
        remove_strangers(cx);
    }
    let room = self::room(cx)?;
    let old = std::mem::replace(&mut room.config, draft.config);
    let codes = codes(&old, &room.config);
    let unsettled = unsettled(room, &old, &before);
    let silenced = if old.moderated && !room.config.moderated {
        room.silenced()
    } else {
        Vec::new()
    };
    if room.locked {
        cx.unlock_room();
    } else if !codes.is_empty() {
        cx.keep_room();
    }
    for (who, _) in &changes {
        cx.keep_affiliation(who);
        cx.forget_voice(who);
    }
    for who in &silenced {
        cx.forget_voice(who); // who comes back has a voice like those who are there
    }
    // Before any presence, which may show more than it did.
    if !codes.is_empty() {
        announce::codes_to_all(cx, &codes);
    }
    for occupant in unsettled {
        settle(cx, &occupant);
    }
    leave::after_leaving(cx); // a room that is not to stay any more, and that nobody is in
    Ok(())
}

/// Whose affiliation the draft changes. §10.2: who was an owner is an admin then, and who was an admin a
/// member; the list of admins is a full one, where it is given.
fn changes(room: &Room, draft: &Draft) -> Result<Vec<(Jid, Affiliation)>, StanzaError> {
    if draft.owners.is_empty() {
        return Err(StanzaError::CONFLICT);
    }
    let owners: BTreeSet<&Jid> = draft.owners.iter().collect();
    let admins: Option<BTreeSet<&Jid>> = draft.admins.as_ref().map(|all| all.iter().collect());
    let becomes = |who: &Jid| {
        let now = room.affiliations.get(who).map(|known| known.affiliation);
        match (now.unwrap_or_default(), &admins) {
            _ if owners.contains(who) => Affiliation::Owner,
            (_, Some(admins)) if admins.contains(who) => Affiliation::Admin,
            (Affiliation::Owner, None) => Affiliation::Admin,
            (Affiliation::Owner | Affiliation::Admin, Some(_)) => Affiliation::Member,
            (as_it_is, _) => as_it_is,
        }
    };
    let concerned: BTreeSet<&Jid> = room
        .affiliations
        .keys()
        .chain(owners.iter().copied())
        .chain(admins.iter().flatten().copied())
        .collect();
    let changed = concerned.into_iter().filter_map(|who| {
        let now = room.affiliations.get(who).map(|known| known.affiliation);
        let then = becomes(who);
        (now.unwrap_or_default() != then).then(|| (who.clone(), then))
    });
    Ok(changed.collect())
}

fn affiliate(room: &mut Room, who: &Jid, affiliation: Affiliation) {
    let new = || AffiliationRecord {
        affiliation,
        nick: String::new(),
        reason: String::new(),
    };
    let record = room.affiliations.entry(who.clone()).or_insert_with(new);
    record.affiliation = affiliation;
    record.reason.clear();
}

/// §10.2: a room for members alone has nobody else in it. Those who stay are told of each who had to go.
fn remove_strangers(cx: &mut Cx<'_>) {
    let Some(room) = cx.room_mut() else { return };
    let all = std::mem::take(&mut room.occupants);
    let (strangers, others) =
        all.parted(|occupant| room.affiliation(&occupant.real()) < Affiliation::Member);
    room.occupants = others;
    let gone = strangers.into_iter().filter_map(|occupant| {
        let told = Told::of(room, &occupant)?;
        Some((told, occupant))
    });
    let gone: Vec<(Told, Occupant)> = gone.collect();
    let news = News {
        type_: "unavailable",
        codes: &[322],
        ..News::default()
    };
    for (told, occupant) in gone {
        let told = Told {
            presence: "".into(),
            ..told.gone()
        };
        let seats = kick::seats(&occupant);
        for seat in &seats {
            cx.keep_seat(seat);
        }
        announce::to_itself(cx, &told, &news, &seats);
        announce::to_others(cx, &told, &news);
    }
}

/// §10.2.1: what everybody in the room is told of another configuration; nothing where it is the same.
fn codes(old: &Config, new: &Config) -> Vec<u16> {
    let otherwise_the_same = Config {
        public_log: new.public_log,
        non_anonymous: new.non_anonymous,
        ..old.clone()
    };
    let mut codes = Vec::new();
    if otherwise_the_same != *new {
        codes.push(CHANGED);
    }
    if old.public_log != new.public_log {
        codes.push(if new.public_log { 170 } else { 171 });
    }
    if old.non_anonymous != new.non_anonymous {
        codes.push(if new.non_anonymous { 172 } else { 173 });
    }
    codes
}

/// Somebody who is not what they were before the room was configured, or not seen as they were.
struct Unsettled {
    jid: Jid,
    role: Role,
    /// Whether the role is another.
    turned: bool,
    /// Whether the role or the affiliation is another.
    changed: bool,
    was_shown: bool,
    is_shown: bool,
}

/// Whom the new configuration changes; `before` has the affiliations that were others.
fn unsettled(room: &Room, old: &Config, before: &BTreeMap<&Jid, Affiliation>) -> Vec<Unsettled> {
    let new = &room.config;
    let all = room.occupants.iter().filter_map(|occupant| {
        let real = occupant.real();
        let affiliation = room.affiliation(&real);
        let was = *before.get(&real).unwrap_or(&affiliation);
        let role = role_now((was, occupant.role), affiliation, old, new);
        let unsettled = Unsettled {
            jid: occupant.jid.clone(),
            role,
            turned: role != occupant.role,
            changed: role != occupant.role || affiliation != was,
            was_shown: old.presence_broadcast.contains(occupant.role),
            is_shown: new.presence_broadcast.contains(role),
        };
        let concerned = unsettled.changed || unsettled.was_shown != unsettled.is_shown;
        concerned.then_some(unsettled)
    });
    all.collect()
}

/// §5.1.3, §10.2: the role of somebody with this affiliation from now on. Nobody loses a voice because the
/// room is moderated from now on, which is for moderators to decide; where it no longer is, everybody has
/// one (§4.2).
fn role_now(
    (was, role): (Affiliation, Role),
    affiliation: Affiliation,
    old: &Config,
    new: &Config,
) -> Role {
    let role = if affiliation == was {
        role
    } else {
        was.role_after(affiliation, role, new.moderated)
    };
    let everybody_speaks = old.moderated && !new.moderated;
    if everybody_speaks && role == Role::Visitor {
        Role::Participant
    } else {
        role
    }
}

/// Gives somebody who is there the role that they have from now on; everybody sees those whom they may see,
/// as they are.
fn settle(cx: &mut Cx<'_>, unsettled: &Unsettled) {
    let Some(room) = cx.room_mut() else { return };
    if let Some(occupant) = room.occupants.get_mut(&unsettled.jid) {
        occupant.role = unsettled.role;
    }
    let occupant = room.occupants.get(&unsettled.jid);
    let Some((told, occupant)) = occupant.and_then(|o| Some((Told::of(room, o)?, o))) else {
        return;
    };
    let seats = kick::seats(occupant);
    let sees_more = unsettled.turned && told.role == Role::Moderator && !room.config.non_anonymous;
    if unsettled.turned {
        for seat in &seats {
            cx.keep_seat(seat);
        }
    }
    if unsettled.is_shown {
        announce::to_others(cx, &told, &News::default());
    } else if unsettled.was_shown {
        let news = News {
            type_: "unavailable",
            ..News::default()
        };
        let told = Told {
            presence: "".into(),
            was_shown: true,
            ..told.clone().gone()
        };
        announce::to_others(cx, &told, &news);
    }
    if unsettled.changed {
        announce::to_itself(cx, &told, &News::default(), &seats);
    }
    if sees_more {
        kick::show_addresses(cx, &told.jid, &seats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Affiliation::{Admin, Member, None as Unaffiliated, Owner};
    use Role::{Moderator, Participant, Visitor};

    /// §5.1.3, §10.2.
    #[test]
    fn roles_follow_affiliations_and_the_kind_of_room() {
        let config = |moderated| Config {
            moderated,
            ..Config::default()
        };
        // What somebody was, what they are, whether the room was and is moderated; the role that follows.
        for ((affiliation, role), now, (was, is), expected) in [
            (
                (Unaffiliated, Participant),
                Unaffiliated,
                (false, true),
                Participant,
            ),
            (
                (Unaffiliated, Visitor),
                Unaffiliated,
                (true, false),
                Participant,
            ),
            (
                (Unaffiliated, Visitor),
                Unaffiliated,
                (false, false),
                Visitor,
            ),
            ((Unaffiliated, Visitor), Unaffiliated, (true, true), Visitor),
            (
                (Unaffiliated, Moderator),
                Unaffiliated,
                (true, false),
                Moderator,
            ),
            ((Unaffiliated, Visitor), Admin, (true, true), Moderator),
            ((Member, Participant), Owner, (false, false), Moderator),
            ((Admin, Moderator), Member, (false, true), Participant),
            ((Owner, Moderator), Admin, (true, true), Moderator),
            ((Owner, Moderator), Member, (true, true), Participant),
            ((Owner, Moderator), Owner, (false, true), Moderator),
        ] {
            let before = (affiliation, role);
            let role = role_now(before, now, &config(was), &config(is));
            assert_eq!(role, expected, "{affiliation:?} {now:?} {was} {is}");
        }
    }

    /// §10.2.1.
    #[test]
    fn every_change_has_its_code() {
        type Change = fn(&mut Config);
        let rows: [(Change, &[u16]); 7] = [
            (|_| (), &[]),
            (|config| config.name = "A Dark Cave".to_owned(), &[104]),
            (|config| config.public_log = true, &[170]),
            (|config| config.non_anonymous = true, &[172]),
            (
                |config| (config.public_log, config.non_anonymous) = (true, true),
                &[170, 172],
            ),
            (
                |config| (config.password, config.non_anonymous) = ("x".to_owned(), true),
                &[104, 172],
            ),
            (|config| config.members_only = true, &[104]),
        ];
        for (change, expected) in rows {
            let (old, mut new) = (Config::default(), Config::default());
            change(&mut new);
            assert_eq!(codes(&old, &new), expected);
        }
        let published = Config {
            public_log: true,
            non_anonymous: true,
            ..Config::default()
        };
        assert_eq!(codes(&published, &Config::default()), [171, 173]);
    }

    /// §10.2: who owns and runs the room, as the full lists say it.
    #[test]
    fn lists_of_owners_and_admins_are_full_ones() {
        let jid = |text: &&str| Jid::parse(&format!("{text}@shakespeare.lit")).unwrap();
        let list = |names: &[&str]| names.iter().map(jid).collect::<Vec<_>>();
        let mut room = Room::new(&jid(&"crone"), 0);
        affiliate(&mut room, &jid(&"hecate"), Owner);
        affiliate(&mut room, &jid(&"wicca"), Admin);
        affiliate(&mut room, &jid(&"hag"), Member);
        affiliate(&mut room, &jid(&"macbeth"), Affiliation::Outcast);
        type Names<'a> = &'a [&'a str];
        let rows: [(Names<'_>, Option<Names<'_>>, &str); 8] = [
            (&["crone", "hecate"], None, ""),
            (&["crone", "hecate"], Some(&["wicca"]), ""),
            (&["crone"], None, "hecate=admin"),
            (&["crone"], Some(&["wicca"]), "hecate=member"),
            (
                &["crone", "hecate", "wicca"],
                Some(&["wicca"]),
                "wicca=owner",
            ),
            (&["crone", "hecate"], Some(&[]), "wicca=member"),
            (
                &["crone", "hecate", "macbeth"],
                Some(&["hag", "new"]),
                "hag=admin macbeth=owner new=admin wicca=member",
            ),
            (&[], None, "conflict"),
        ];
        for (owners, admins, expected) in rows {
            let draft = Draft::of(&room, list(owners), admins.map(list));
            let changes = changes(&room, &draft).map(|changes| {
                let changes = changes
                    .iter()
                    .map(|(who, then)| format!("{}={}", who.localpart().unwrap(), then.name()));
                changes.collect::<Vec<_>>().join(" ")
            });
            let changes = changes.unwrap_or_else(|refusal| refusal.condition.to_owned());
            assert_eq!(changes, expected, "{owners:?} {admins:?}");
        }
    }
}
