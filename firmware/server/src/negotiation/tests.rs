//! Logins, from the first offer to the bound resource.

use crate::{
    connection::{
        Door,
        fixture::{BIND, HEADER, PING, World, plain, plain2},
    },
    limits::{ATTEMPTS_MAX, BINDS_MAX},
    world::Clock,
};
use xmpp::sasl::ChannelBindings;

mod tokens;

const AGENT: &str =
    "<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'><software>S</software></user-agent>";

#[test]
fn before_tls_there_is_nothing_but_tls_and_what_came_before_is_forgotten() {
    let world = World::new("");
    let mut client = world.connect(Door::StartTls);
    assert!(client.say_raw(HEADER).ends_with(
        "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
         <limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits></stream:features>"
    ));
    assert_eq!(
        client.say(&plain("", "juliet", "pencil")),
        "<failure><encryption-required/></failure>"
    );
    assert_eq!(
        client.say(&plain2("juliet", "pencil", "")),
        "<failure><encryption-required/></failure>"
    );
    let injected = format!(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>{HEADER}{}",
        plain("", "juliet", "pencil")
    );
    assert_eq!(client.say(&injected), "<proceed/>[TLS]");
    client.connection.secured(ChannelBindings {
        exporter: Some(vec![1; 32]),
        end_point: Some(vec![2; 32]),
    });
    assert_eq!(client.hear(), "", "nothing of it was kept");
    let features = client.say_raw(HEADER);
    assert!(features.contains(
        "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>SCRAM-SHA-512-PLUS<"
    ));
    assert!(features.contains(
        "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
         <channel-binding type='tls-server-end-point'/></sasl-channel-binding>"
    ));
    assert!(features.contains(
        "<sm xmlns='urn:xmpp:sm:3'/><fast xmlns='urn:xmpp:fast:0'>\
         <mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>\
         <mechanism>HT-SHA-256-NONE</mechanism></fast></inline></authentication>"
    ));
    assert_eq!(
        client.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
        "<failure/></stream:stream>[closed]"
    );
}

#[test]
fn mechanisms_that_bind_are_offered_only_where_there_is_something_to_bind_to() {
    let world = World::new("");
    let features = world.connect(Door::Secured).say_raw(HEADER);
    assert!(
        !features.contains("-PLUS") && !features.contains("sasl-channel-binding"),
        "{features}"
    );
    assert!(
        features.contains(
            "<fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-NONE</mechanism></fast>"
        )
    );
    assert!(
        features
            .contains("<mechanism>SCRAM-SHA-512</mechanism><mechanism>SCRAM-SHA-256</mechanism>")
    );
}

#[test]
fn failures_of_classic_sasl() {
    let world = World::new("");
    let auth = |mechanism: &str, text: &str| {
        format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{mechanism}'>{text}</auth>"
        )
    };
    let response = "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    for (said, expected) in [
        (plain("", "juliet", "crayon"), "not-authorized"),
        (plain("", "nobody", "pencil"), "not-authorized"),
        (plain("", "juliet@localhost", "pencil"), "not-authorized"),
        (plain("", "jul iet", "pencil"), "not-authorized"),
        (plain("", "romeo", "crayon"), "not-authorized"),
        (plain("", "romeo", "pencil"), "account-disabled"),
        (
            plain("romeo@localhost", "juliet", "pencil"),
            "invalid-authzid",
        ),
        (
            plain("juliet@localhost/balcony", "juliet", "pencil"),
            "invalid-authzid",
        ),
        (auth("PLAIN", "="), "malformed-request"),
        (auth("PLAIN", "AGp1bGlldABwZW5jaWw"), "incorrect-encoding"),
        (auth("PLAIN", "!"), "incorrect-encoding"),
        (auth("CRAM-MD5", ""), "invalid-mechanism"),
        (auth("SCRAM-SHA-1-PLUS", ""), "invalid-mechanism"),
        (auth("HT-SHA-256-NONE", "="), "invalid-mechanism"),
        (response.to_owned(), "malformed-request"),
        (
            "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(),
            "aborted",
        ),
    ] {
        let mut client = world.connect(Door::Secured);
        client.say(HEADER);
        assert_eq!(
            client.say(&said),
            format!("<failure><{expected}/></failure>"),
            "{said}"
        );
        let good = plain("juliet@localhost", "Juliet", "pencil");
        assert_eq!(
            client.say(&good),
            "<success></success>",
            "the stream is as it was after {said}"
        );
    }
}

#[test]
fn attempts_and_requests_to_bind_are_limited() {
    let world = World::new("[limits]\nlogin_failures_per_minute = 0");
    let mut client = world.connect(Door::Secured);
    client.say(HEADER);
    for _ in 1..ATTEMPTS_MAX {
        assert_eq!(
            client.say(&plain("", "juliet", "crayon")),
            "<failure><not-authorized/></failure>"
        );
    }
    let last = client.say(&plain("", "juliet", "crayon"));
    assert!(
        last.starts_with("<failure><not-authorized/></failure><stream:error><policy-violation"),
        "{last}"
    );
    assert!(last.ends_with("[closed]"));

    let mut client = world.connect(Door::Secured);
    client.say(&format!(
        "{HEADER}{}{HEADER}",
        plain("", "juliet", "pencil")
    ));
    let bad = BIND.replace("balcony", &"x".repeat(1_024));
    for _ in 0..BINDS_MAX {
        let heard = client.say(&bad);
        assert!(
            heard.starts_with("<iq type='error' id='b1'><error type='modify'><bad-request"),
            "{heard}"
        );
    }
    assert!(client.say(BIND).contains("<policy-violation/"));
}

#[test]
fn a_wrong_password_and_an_unknown_name_look_the_same_and_slow_down_alike() {
    let world = World::new("");
    let mut told = Vec::new();
    for name in ["juliet", "nobody"] {
        let mut heard = Vec::new();
        for _ in 0..4 {
            let mut client = world.connect(Door::Secured);
            client.say(HEADER);
            for _ in 1..ATTEMPTS_MAX {
                let mut answer = client.say(&plain("", name, "crayon"));
                while answer.ends_with("[waits]") {
                    let before = world.clock.elapsed_ms();
                    let tardy = client.tick();
                    answer = format!("{answer}{tardy}[{} ms]", world.clock.elapsed_ms() - before);
                }
                heard.push(answer);
            }
        }
        told.push(heard);
    }
    assert_eq!(told[0], told[1]);
    let slow = |ms: u64| format!("[waits]<failure><not-authorized/></failure>[{ms} ms]");
    let seconds = [1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
    assert_eq!(told[0][10..], seconds.map(slow));
    // The right password is not slowed down, whatever others tried from here.
    let mut client = world.connect(Door::Secured);
    client.say(HEADER);
    assert_eq!(
        client.say(&plain("", "juliet", "pencil")),
        "<success></success>"
    );
}

#[test]
fn sasl2_goes_on_without_a_new_stream() {
    let world = World::new("");
    let mut client = world.connect(Door::Secured);
    client.say(HEADER);
    assert_eq!(
        client.say(&plain2(
            "juliet",
            "crayon",
            "<bind xmlns='urn:xmpp:bind:0'/>"
        )),
        "<failure><not-authorized/></failure>",
    );
    assert_eq!(
        client.say(&plain2("juliet", "pencil", "")),
        "<success><authorization-identifier>juliet@localhost</authorization-identifier></success><features>",
    );
    assert!(
        client
            .say(&plain2("juliet", "pencil", ""))
            .contains("<not-authorized/"),
        "once is enough"
    );

    let mut client = world.connect(Door::Secured);
    client.say(&format!("{HEADER}{}", plain2("juliet", "pencil", "")));
    assert!(
        client
            .say(BIND)
            .contains("<jid>juliet@localhost/balcony</jid>")
    );
}

#[test]
fn nothing_else_may_be_said_during_a_sasl2_exchange() {
    let world = World::new("");
    let begin = "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'/>";
    for (said, expected) in [
        (begin, "policy-violation"),
        (
            "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
            "policy-violation",
        ),
        (PING, "not-authorized"),
        ("<r xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"),
    ] {
        let mut client = world.connect(Door::Secured);
        client.say(HEADER);
        assert_eq!(client.say(begin), "<challenge></challenge>");
        let heard = client.say(said);
        assert!(
            heard.starts_with(&format!("<stream:error><{expected}/"))
                && heard.ends_with("[closed]"),
            "{heard}"
        );
    }
}

/// The resource in the answer to a login with Bind 2.
fn bound(heard: &str) -> String {
    let start = heard.find("juliet@localhost/").unwrap() + "juliet@localhost/".len();
    heard[start..start + heard[start..].find('<').unwrap()].to_owned()
}

#[test]
fn bind_2_gives_an_installation_the_same_resource_again_and_ends_its_earlier_session() {
    let world = World::new("");
    let bind = "<bind xmlns='urn:xmpp:bind:0'><tag>Script</tag></bind>";
    let login = |inline: &str| {
        let mut client = world.connect(Door::Secured);
        client.say(HEADER);
        let heard = client.say(&plain2("juliet", "pencil", inline));
        assert!(heard.contains(
            "</authorization-identifier><bound xmlns='urn:xmpp:bind:0'>\
             <metadata xmlns='urn:xmpp:mam:2'/></bound></success><features>"
        ));
        (client, bound(&heard))
    };
    let (mut first, resource) = login(&format!("{AGENT}{bind}"));
    assert!(
        resource.starts_with("Script/") && !resource.contains("d4565fa7"),
        "{resource}"
    );
    let (mut second, again) = login(&format!("{AGENT}{bind}"));
    assert_eq!(resource, again);
    assert!(first.hear().contains("<conflict/"));
    let (mut updated, renamed) = login(&format!("{AGENT}{}", bind.replace("Script", "Script 2")));
    assert_eq!(renamed, resource.replace("Script", "Script 2"));
    assert!(
        second.hear().contains("<conflict/"),
        "it is the client that has one session (XEP-0386 §3.2), not its tag"
    );
    let (_third, other) = login(bind);
    let (_fourth, another) = login(bind);
    assert!(other != resource && other != another && other.starts_with("Script/"));
    assert_eq!(updated.hear(), "", "other clients are none of its business");
    let (_fifth, bare) = login("<bind xmlns='urn:xmpp:bind:0'/>");
    assert!(!bare.contains('/'));
}

#[test]
fn who_said_to_be_somebody_else_is_not_let_in() {
    let world = World::new("");
    let header = HEADER.replace("to=", "from='romeo@localhost' to=");
    let mut client = world.connect(Door::Secured);
    client.say(&header);
    assert!(
        client
            .say(&plain("", "juliet", "pencil"))
            .starts_with("<stream:error><invalid-from/")
    );
    let mut client = world.connect(Door::Secured);
    client.say(&format!("{HEADER}{}", plain("", "juliet", "pencil")));
    assert!(client.say(&header).contains("<invalid-from/"));
}

#[test]
fn registration_is_announced_where_it_is_open_and_never_before_tls() {
    const FEATURE: &str = "<register xmlns='http://jabber.org/features/iq-register'/>";
    for (config, announced) in [("", false), ("registration.open = true", true)] {
        let world = World::new(config);
        let mut client = world.connect(Door::Secured);
        let features = client.say_raw(HEADER);
        assert_eq!(features.contains(FEATURE), announced, "{config}");
        let mut client = world.connect(Door::StartTls);
        assert!(!client.say_raw(HEADER).contains("register"), "{config}");
    }
}
