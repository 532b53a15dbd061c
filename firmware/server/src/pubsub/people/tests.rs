//! How many people there may be at nodes, and who is counted.

use super::*;
use crate::{account::Account, fixture::Fixture, limits::PUBSUB_PEOPLE_MAX, pubsub::create};

/// A visitor who may do everything, so that what is left to refuse is numbers.
fn subscriptions(home: &Fixture, account: &Account, change: impl Fn(&mut Cx<'_>, &Visitor)) {
    home.server.at(account, 0, |cx| {
        let visitor = Visitor::account(cx);
        create(cx, &visitor, "n", &[]).unwrap();
        change(cx, &visitor);
    });
}

#[test]
fn one_person_cannot_take_all_subscriptions() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    subscriptions(&home, &juliet.account, |cx, visitor| {
        let own = cx.jid().clone();
        let resource = |n: usize| own.with_resource(&format!("r{n}")).unwrap();
        let jids: Vec<Jid> = (0..=PUBSUB_SUBSCRIPTIONS_PER_PERSON_MAX)
            .map(resource)
            .collect();
        for (n, jid) in jids.iter().enumerate() {
            let subscribed = subscribe(cx, visitor, "n", jid, None).map(|_| ());
            let refused = Err(Refusal::TooManySubscriptions);
            let last = n == PUBSUB_SUBSCRIPTIONS_PER_PERSON_MAX;
            assert_eq!(subscribed, if last { refused } else { Ok(()) });
        }
        assert!(subscribe(cx, visitor, "n", &jids[0], Some(false)).is_ok());
    });
}

#[test]
fn an_owner_can_end_subscriptions_where_there_is_room_for_no_more() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    subscriptions(&home, &juliet.account, |cx, visitor| {
        let jid = |n: usize| Jid::parse(&format!("c{n}@far.example")).unwrap();
        let all: Vec<_> = (0..PUBSUB_SUBSCRIPTIONS_MAX)
            .map(|n| (jid(n), Some(false)))
            .collect();
        type Changes<'a> = &'a [(Jid, Option<bool>)];
        let set =
            |cx: &mut Cx<'_>, changes: Changes<'_>| set_subscriptions(cx, visitor, "n", changes);
        assert!(set(cx, &all).is_ok());
        assert!(set(cx, &[(jid(PUBSUB_SUBSCRIPTIONS_MAX), Some(false))]).is_err());
        assert!(set(cx, &[(jid(0), Some(true)), (jid(1), None)]).is_ok());
        assert!(set(cx, &[(jid(PUBSUB_SUBSCRIPTIONS_MAX), Some(false))]).is_ok());
    });
}

#[test]
fn the_people_of_all_nodes_are_counted() {
    let home = Fixture::new(&["juliet"]);
    let juliet = home.online("juliet", "balcony");
    home.server.at(&juliet.account, 0, |cx| {
        let visitor = Visitor::account(cx);
        let jid = |n: usize| Jid::parse(&format!("c{n}@far.example")).unwrap();
        let all: Vec<_> = (0..PUBSUB_SUBSCRIPTIONS_MAX)
            .map(|n| (jid(n), Some(false)))
            .collect();
        for n in 0..PUBSUB_PEOPLE_MAX / PUBSUB_SUBSCRIPTIONS_MAX {
            create(cx, &visitor, &format!("n{n}"), &[]).unwrap();
            assert!(set_subscriptions(cx, &visitor, &format!("n{n}"), &all).is_ok());
        }
        create(cx, &visitor, "n", &[]).unwrap();
        let own = cx.jid().clone();
        let full = Err(Refusal::TooManySubscriptions);
        assert_eq!(subscribe(cx, &visitor, "n", &own, None).map(|_| ()), full);
        assert_eq!(set_subscriptions(cx, &visitor, "n", &all[..1]), full);
        let member = |is| vec![(jid(0), is)];
        let affiliated = affiliate(cx, &visitor, "n", member(Affiliation::Member));
        assert_eq!(affiliated, Err(Refusal::NoRoom));
        assert!(affiliate(cx, &visitor, "n0", member(Affiliation::None)).is_ok());
        assert!(set_subscriptions(cx, &visitor, "n0", &[(jid(0), None)]).is_ok());
        assert!(subscribe(cx, &visitor, "n", &own, None).is_ok());
    });
}
