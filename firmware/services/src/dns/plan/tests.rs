//! Zones as they are found, and what is done about them.

use super::*;
use expect_test::{Expect, expect};

/// `name ttl kind data`, where a kind is A, AAAA, CNAME, SRV (its port), TXT, CAA or MX.
fn record(line: &str) -> Record {
    let words: Vec<&str> = line.split(' ').collect();
    let text = words[3].to_owned();
    let data = match words[2] {
        "A" => Data::A(text.parse().unwrap()),
        "AAAA" => Data::Aaaa(text.parse().unwrap()),
        "CNAME" => Data::Cname(text),
        "SRV" => Data::Srv {
            priority: 5,
            weight: 1,
            port: text.parse().unwrap(),
            target: "h.example".to_owned(),
        },
        "TXT" => Data::Txt(text),
        "CAA" => Data::Caa {
            flags: 0,
            tag: "issue".to_owned(),
            value: text,
        },
        other => Data::Other(other.to_owned(), text),
    };
    Record::new(words[0], words[1].parse().unwrap(), data)
}

fn shown(step: &Step) -> String {
    match step {
        Step::Create(record) => format!("create {record}"),
        Step::Change { kept, to } => format!("change {} to {to}", kept.id),
        Step::Adopt(kept) => format!("adopt {}", kept.id),
        Step::Remove(kept) => format!("remove {}", kept.id),
    }
}

/// Lines of records, and of kinds that are spared.
fn wishes(lines: &[&str]) -> Wanted {
    let mut wanted = Wanted::default();
    for line in lines {
        match line.strip_prefix("spare ") {
            Some("A") => wanted.spared.push(("h.example".to_owned(), "A")),
            Some(other) => panic!("{other}"),
            None => wanted.records.push(record(line)),
        }
    }
    wanted
}

/// `there` are `id name ttl kind data`; ids in capitals are ours, those with a `C` are challenges.
fn planned(wanted: &[&str], there: &[&str], adopts: bool) -> String {
    let wanted = wishes(wanted);
    let kept = |line: &&str| {
        let (id, line) = line.split_once(' ').unwrap();
        Kept {
            id: id.to_owned(),
            record: record(line),
        }
    };
    let actual: Vec<Kept> = there.iter().map(kept).collect();
    let is_ours = |id: &&String| id.chars().all(char::is_uppercase);
    let ids: BTreeSet<String> = actual
        .iter()
        .map(|it| &it.id)
        .filter(is_ours)
        .cloned()
        .collect();
    let apart = ids
        .iter()
        .filter(|id| id.starts_with('C'))
        .cloned()
        .collect();
    let marker = record("_hearth-owner.h.example 1800 TXT us");
    let own = Own {
        marker: &marker,
        ids: &ids,
        apart: &apart,
    };
    let plan = plan(&wanted, "h.example", &actual, &own, adopts);
    let mut lines: Vec<String> = plan.steps.iter().map(shown).collect();
    lines.extend(plan.conflicts.iter().map(|it| {
        let there: Vec<&str> = it.there.iter().map(|it| it.id.as_str()).collect();
        let word = if it.is_in_the_way {
            "against"
        } else {
            "beside"
        };
        format!("{} {word} {}", there.join(" "), it.wanted)
    }));
    lines.push(format!(
        "{} right{}",
        plan.right.len(),
        if plan.is_held { ", held" } else { "" }
    ));
    lines.join("\n")
}

fn check(wanted: &[&str], there: &[&str], expected: Expect) {
    expected.assert_eq(&planned(wanted, there, false));
}

const MARKER: &str = "M _hearth-owner.h.example 1800 TXT us";
const HOUSE: &[&str] = &[
    "h.example 60 A 192.0.2.1",
    "chat.h.example 1800 CNAME h.example",
];

#[test]
fn an_empty_zone_is_filled_and_what_others_have_there_stays() {
    check(
        HOUSE,
        &[
            "m h.example 1800 MX mail",
            "w www.h.example 60 A 192.0.2.9",
            "n h.example 60 TXT spf",
        ],
        expect![[r#"
            create _hearth-owner.h.example 1800 TXT "us"
            create h.example 60 A 192.0.2.1
            create chat.h.example 1800 CNAME h.example.
            0 right"#]],
    );
}

#[test]
fn a_new_address_is_a_change_in_place() {
    check(
        HOUSE,
        &[
            MARKER,
            "A h.example 60 A 192.0.2.77",
            "B chat.h.example 1800 CNAME h.example",
        ],
        expect![[r"
            change A to h.example 60 A 192.0.2.1
            2 right"]],
    );
}

#[test]
fn nothing_to_do() {
    check(
        HOUSE,
        &[
            MARKER,
            "A h.example 60 A 192.0.2.1",
            "B chat.h.example 1800 CNAME h.example",
        ],
        expect!["3 right"],
    );
}

#[test]
fn a_web_site_at_the_domain_is_left_alone_until_somebody_says_so() {
    let there = &[
        "a h.example 3600 A 198.51.100.1",
        "b h.example 3600 AAAA 2001:db8::1",
    ];
    check(
        HOUSE,
        there,
        expect![[r#"
            create _hearth-owner.h.example 1800 TXT "us"
            create chat.h.example 1800 CNAME h.example.
            a b against h.example 60 A 192.0.2.1
            0 right, held"#]],
    );
    expect![[r#"
        create _hearth-owner.h.example 1800 TXT "us"
        remove b
        change a to h.example 60 A 192.0.2.1
        create chat.h.example 1800 CNAME h.example.
        0 right"#]]
    .assert_eq(&planned(HOUSE, there, true));
}

#[test]
fn what_says_the_same_is_adopted_and_kept_in_step_then() {
    check(
        HOUSE,
        &[
            MARKER,
            "a h.example 3600 A 192.0.2.1",
            "B chat.h.example 60 CNAME h.example",
        ],
        expect![[r"
            adopt a
            change B to chat.h.example 1800 CNAME h.example.
            1 right"]],
    );
}

#[test]
fn the_same_twice_becomes_one() {
    check(
        HOUSE,
        &[
            MARKER,
            "a h.example 60 A 192.0.2.1",
            "A h.example 60 A 192.0.2.1",
            "AA h.example 60 A 192.0.2.50",
            "B chat.h.example 1800 CNAME h.example",
        ],
        expect![[r"
            remove a
            remove AA
            3 right"]],
    );
}

#[test]
fn another_address_beside_ours_is_said_and_stays() {
    check(
        HOUSE,
        &[
            MARKER,
            "A h.example 60 A 192.0.2.50",
            "a h.example 60 A 198.51.100.1",
            "B chat.h.example 1800 CNAME h.example",
        ],
        expect![[r"
            change A to h.example 60 A 192.0.2.1
            a beside h.example 60 A 192.0.2.1
            2 right"]],
    );
}

#[test]
fn another_server_for_chat_stands_in_the_way_of_its_service_alone() {
    check(
        &[
            "h.example 60 A 192.0.2.1",
            "_xmpp-client._tcp.h.example 1800 SRV 5222",
        ],
        &[
            "s _xmpp-client._tcp.h.example 60 SRV 5299",
            "t chat.h.example 60 A 192.0.2.3",
        ],
        expect![[r#"
            create _hearth-owner.h.example 1800 TXT "us"
            create h.example 60 A 192.0.2.1
            s against _xmpp-client._tcp.h.example 1800 SRV 5 1 5222 h.example.
            0 right"#]],
    );
    check(
        HOUSE,
        &["t chat.h.example 60 TXT hello"],
        expect![[r#"
            create _hearth-owner.h.example 1800 TXT "us"
            create h.example 60 A 192.0.2.1
            t against chat.h.example 1800 CNAME h.example.
            0 right"#]],
    );
}

#[test]
fn several_of_one_service_are_paired() {
    check(
        &[
            "_x._tcp.h.example 1800 SRV 443",
            "_x._tcp.h.example 1800 SRV 5223",
        ],
        &[
            MARKER,
            "A _x._tcp.h.example 1800 SRV 8443",
            "B _x._tcp.h.example 1800 SRV 5223",
            "D _x._tcp.h.example 1800 SRV 1",
        ],
        expect![[r"
            change A to _x._tcp.h.example 1800 SRV 5 1 443 h.example.
            remove D
            2 right"]],
    );
}

#[test]
fn ours_that_are_over_go_and_unknown_ones_stay() {
    let there = &[
        MARKER,
        "A h.example 60 A 192.0.2.50",
        "AA h.example 60 AAAA 2001:db8::1",
        "B old.h.example 1800 CNAME h.example",
        "C _acme-challenge.h.example 30 TXT key",
        "t _acme-challenge.h.example 30 TXT other",
    ];
    check(
        &["spare A"],
        there,
        expect![[r"
            remove AA
            remove B
            1 right"]],
    );
}

#[test]
fn authorities_of_others_stay_beside_ours() {
    check(
        &["h.example 1800 CAA ca"],
        &[MARKER, "a h.example 60 CAA other"],
        expect![[r#"
            create h.example 1800 CAA 0 issue "ca"
            1 right"#]],
    );
}

#[test]
fn the_zone_of_another_house() {
    let there = &[
        "m _hearth-owner.h.example 1800 TXT them",
        "a h.example 60 A 192.0.2.50",
    ];
    check(
        HOUSE,
        there,
        expect![[r#"
            create chat.h.example 1800 CNAME h.example.
            m against _hearth-owner.h.example 1800 TXT "us"
            a against h.example 60 A 192.0.2.1
            0 right, held"#]],
    );
    expect![[r#"
        change m to _hearth-owner.h.example 1800 TXT "us"
        change a to h.example 60 A 192.0.2.1
        create chat.h.example 1800 CNAME h.example.
        0 right"#]]
    .assert_eq(&planned(HOUSE, there, true));
}

#[test]
fn a_list_that_was_lost_is_made_again_by_the_marker() {
    check(
        HOUSE,
        &[
            "m _hearth-owner.h.example 1800 TXT us",
            "a h.example 60 A 192.0.2.50",
            "b chat.h.example 1800 CNAME h.example",
        ],
        expect![[r"
            adopt m
            change a to h.example 60 A 192.0.2.1
            adopt b
            0 right"]],
    );
}

#[test]
fn a_name_that_changes_its_kind() {
    check(
        &["chat.h.example 1800 CNAME h.example"],
        &[MARKER, "A chat.h.example 60 A 192.0.2.1"],
        expect![[r"
            remove A
            create chat.h.example 1800 CNAME h.example.
            1 right"]],
    );
}
