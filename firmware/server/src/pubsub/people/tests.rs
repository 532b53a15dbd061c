//! How many people there may be at nodes, and who is counted.

use super::*;
use crate::{account::Account, fixture::Fixture, limits::PUBSUB_PEOPLE_MAX, pubsub::create};

/// Everybody may subscribe.
fn open() -> Vec<(String, Vec<String>)> {
    vec![("pubsub#access_model".to_owned(), vec!["open".to_owned()])]
}

/// A visitor who may do everything, so that what is left to refuse is numbers.
fn subscriptions(home: &Fixture, account: &Account, change: impl Fn(&mut Cx<'_>, &Visitor)) {
    home.server.at(account, 0, |cx| {
        let visitor = Visitor::account(cx);
        create(cx, &visitor, "n", &open()).unwrap();
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
        let set = |cx: &mut Cx<'_>, changes: &[(Jid, Option<bool>)]| {
            set_subscriptions(cx, visitor, "n", changes.to_vec()).unwrap()
        };
        let another = (jid(PUBSUB_SUBSCRIPTIONS_MAX), Some(false));
        let full = [(another.0.clone(), Refusal::TooManySubscriptions)];
        assert_eq!(set(cx, &all), []);
        assert_eq!(set(cx, std::slice::from_ref(&another)), full);
        assert_eq!(set(cx, &[another.clone(), (jid(0), Some(true))]), full);
        // An end in the same list makes room, wherever it stands.
        assert_eq!(set(cx, &[another, (jid(1), None)]), []);
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
            create(cx, &visitor, &format!("n{n}"), &open()).unwrap();
            let refused = set_subscriptions(cx, &visitor, &format!("n{n}"), all.clone());
            assert_eq!(refused, Ok(Vec::new()));
        }
        create(cx, &visitor, "n", &open()).unwrap();
        let own = cx.jid().clone();
        let full = Err(Refusal::TooManySubscriptions);
        assert_eq!(subscribe(cx, &visitor, "n", &own, None).map(|_| ()), full);
        let nobody = |refusal| Ok(vec![(jid(0), refusal)]);
        let subscribed = set_subscriptions(cx, &visitor, "n", all[..1].to_vec());
        assert_eq!(subscribed, nobody(Refusal::TooManySubscriptions));
        let member = |is| vec![(jid(0), is)];
        let affiliated = affiliate(cx, &visitor, "n", member(Affiliation::Member));
        assert_eq!(affiliated, nobody(Refusal::NoRoom));
        assert!(affiliate(cx, &visitor, "n0", member(Affiliation::None)).is_ok());
        assert!(set_subscriptions(cx, &visitor, "n0", vec![(jid(0), None)]).is_ok());
        assert!(subscribe(cx, &visitor, "n", &own, None).is_ok());
    });
}

type Rows<'a> = &'a [(&'a str, Affiliation)];
type Step<'a> = (Rows<'a>, Rows<'a>, &'a [(&'a str, Refusal)]);

/// What is wanted, what people are then, and what is refused: beginning with `a` who owns it.
const STEPS: [Step<'_>; 7] = {
    use Affiliation::{Member, None, Owner, Publisher};
    [
        (
            &[("a", None)],
            &[("a", Owner)],
            &[("a", Refusal::LastOwner)],
        ),
        (&[("a", None), ("b", Owner)], &[("b", Owner)], &[]),
        (
            &[("b", Owner), ("c", Owner)],
            &[("b", Owner), ("c", Owner)],
            &[],
        ),
        // The last one who would go stays.
        (
            &[("a", None), ("c", None), ("b", None)],
            &[("b", Owner)],
            &[("b", Refusal::LastOwner)],
        ),
        // The state chart of §4.1.
        (
            &[("b", Publisher)],
            &[("b", Owner)],
            &[("b", Refusal::NotServed)],
        ),
        (
            &[("b", None), ("c", Publisher)],
            &[("b", Owner), ("c", Publisher)],
            &[("b", Refusal::LastOwner)],
        ),
        (
            &[("c", Member)],
            &[("b", Owner), ("c", Publisher)],
            &[("c", Refusal::NotServed)],
        ),
    ]
};

#[test]
fn there_is_always_an_owner() {
    let home = Fixture::new(&["a"]);
    let service = crate::fixture::now(home.server.load(crate::directory::SERVICE))
        .unwrap()
        .unwrap();
    let jid = |name: &str| Jid::parse(&format!("{name}@home.example")).unwrap();
    home.server.at(&service, 0, |cx| {
        let visitor = Visitor::new(cx, &jid("a"));
        create(cx, &visitor, "n", &open()).unwrap();
        for (changes, expected, refusals) in STEPS {
            let as_jids = |rows: Rows<'_>| -> Vec<_> {
                rows.iter().map(|(name, is)| (jid(name), *is)).collect()
            };
            let whose = Visitor::new(cx, &owners(cx, "n")[0]);
            let refused = affiliate(cx, &whose, "n", as_jids(changes)).unwrap();
            let refusals: Vec<_> = refusals.iter().map(|(name, is)| (jid(name), *is)).collect();
            assert_eq!(refused, refusals, "{changes:?}");
            let mut known = cx.node("n").unwrap().affiliations().to_vec();
            known.sort_by(|(one, _), (other, _)| one.cmp(other));
            assert_eq!(known, as_jids(expected), "{changes:?}");
        }
    });
}
