//! How streams end, and what becomes of what was on them.

use super::*;
use crate::s2s::limits::VERIFICATION_MS_MAX;
use household::Config;
use std::{path::Path, task::Waker};

fn message(id: &str) -> String {
    MESSAGE.replace("m1", id)
}

fn polls(link: &mut Link) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    link.poll_wake(&mut cx).is_ready()
}

/// What a link says now, all of it taken by the socket.
fn says(house: &House, link: &mut Link) -> String {
    hears(house, link, "")
}

/// A stream that far opens to home, on which home may answer.
fn opened_by_far(home: &House) -> Link {
    let (mut link, _) = stranger(home, "far.example", &header("far.example"));
    let answer = hears(home, &mut link, "<bidi xmlns='urn:xmpp:bidi'/>");
    assert!(answer.is_empty(), "{answer}");
    assert!(hears(home, &mut link, EXTERNAL).contains("<success"));
    hears(home, &mut link, &header("far.example"));
    link
}

#[test]
fn nothing_overtakes_what_is_on_a_line_that_we_leave() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    let (mut caller, _) = connected(&home, &far);
    // More often than a stanza may be on a line that breaks.
    for number in 0..3 {
        let (one, two) = (
            message(&format!("a{number}")),
            message(&format!("b{number}")),
        );
        home.send(&one).unwrap();
        assert!(says(&home, &mut caller).contains(&format!("id='a{number}'")));
        home.world.server.renew_remotes();
        assert!(polls(&mut caller));
        assert!(says(&home, &mut caller).contains("</stream:stream>"));
        home.send(&two).unwrap();
        assert!(home.called().is_none(), "what is on the line may be lost");
        home.now(caller.leave());
        let (mut next, mut called) = (home.dial(), far.answer());
        let said = talk(&home, &mut next, &far, &mut called).join("\n");
        let places = [format!("id='a{number}'"), format!("id='b{number}'")];
        let [one, two] = places.map(|id| said.find(&id).unwrap());
        assert!(one < two, "{said}");
        while far.world.server.store().turn() {}
        talk(&home, &mut next, &far, &mut called);
        caller = next;
    }
}

#[test]
fn what_is_acknowledged_after_our_goodbye_keeps_nobody_waiting() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    let (mut caller, _) = connected(&home, &far);
    home.send(&message("m2")).unwrap();
    says(&home, &mut caller);
    home.world.server.renew_remotes();
    assert!(polls(&mut caller));
    says(&home, &mut caller);
    home.send(&message("m3")).unwrap();
    assert!(home.called().is_none());
    hears(&home, &mut caller, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    says(&home, &mut caller);
    assert!(home.called().is_some());
}

#[test]
fn a_line_that_came_later_is_used_when_the_first_one_is_dead() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    let (mut caller, _) = connected(&home, &far);
    let mut later = opened_by_far(&home);
    home.send(&message("m2")).unwrap();
    assert!(!polls(&mut later), "what is on the first line goes first");
    says(&home, &mut caller);
    home.send(&message("m3")).unwrap();
    home.now(caller.leave());
    assert!(home.called().is_none(), "nobody has to be called");
    assert!(polls(&mut later));
    let said = says(&home, &mut later);
    assert!(said.find("id='m2'").unwrap() < said.find("id='m3'").unwrap());
}

#[test]
fn what_was_to_be_written_when_they_left_is_not_said_twice() {
    let (home, far) = (
        house("home.example", "", false),
        house("far.example", "", false),
    );
    let (mut caller, _) = connected(&home, &far);
    home.send(&message("m2")).unwrap();
    let said = hears(&home, &mut caller, "</stream:stream>");
    assert!(
        said.contains("</stream:stream>") && !said.contains("m2"),
        "{said}"
    );
    let remote = caller.carries[0].clone();
    home.now(caller.leave());
    assert_eq!(remote.waiting(), 1);
}

#[test]
fn who_opened_a_stream_and_says_nothing_for_an_hour_is_left() {
    let home = house("home.example", "", false);
    let mut link = opened_by_far(&home);
    let mut said = String::new();
    for _ in 0..CALLED_IDLE_MS / IDLE_MS {
        assert!(!said.contains("</stream:stream>"));
        home.world.pass(IDLE_MS);
        link.tick();
        said = says(&home, &mut link);
    }
    assert!(said.contains("</stream:stream>"), "{said}");
}

#[test]
fn a_name_that_becomes_a_components_is_nobody_elses() {
    let home = house("home.example", "", false);
    let mut link = opened_by_far(&home);
    let text = "domain = 'home.example'\n[components]\n'far.example' = 'secret'";
    let config = Config::from_texts([(Path::new("x.toml"), text)]).unwrap();
    assert!(!polls(&mut link));
    home.world.server.configure(Arc::new(config));
    let said = hears(
        &home,
        &mut link,
        "<message from='romeo@far.example' to='juliet@home.example'><body>hello</body></message>",
    );
    assert!(said.contains("<invalid-from"), "{said}");
    let mut other = opened_by_far(&house("home.example", "", false));
    assert!(!polls(&mut other));
    let mut link = {
        let config = Config::from_texts([(Path::new("x.toml"), "domain = 'home.example'")]);
        home.world.server.configure(Arc::new(config.unwrap()));
        opened_by_far(&home)
    };
    let config = Config::from_texts([(Path::new("x.toml"), text)]).unwrap();
    home.world.server.configure(Arc::new(config));
    assert!(polls(&mut link), "it is left at once");
}

#[test]
fn a_key_is_asked_about_no_longer_than_it_is_waited_for() {
    let lax = "s2s.require_valid_certificate = false";
    let home = house("home.example", lax, true);
    let (mut link, _) = stranger(&home, "nobody.example", &header("far.example"));
    let key = "ab".repeat(32);
    let result = format!("<db:result from='far.example' to='home.example'>{key}</db:result>");
    hears(&home, &mut link, &result);
    home.world.pass(VERIFICATION_MS_MAX - 1_000);
    let asking = home.dial();
    let now = home.world.server.clock().elapsed_ms();
    assert_eq!(asking.deadline(), Some(now + 1_000));
}

#[test]
fn what_is_made_anew_before_it_is_up_is_made_again() {
    let home = house("home.example", "", false);
    home.send(MESSAGE).unwrap();
    let mut caller = home.dial();
    home.world.server.renew_remotes();
    assert!(polls(&mut caller));
    assert_eq!(caller.outcome(), Outcome::Again);
    home.now(caller.leave());
    assert!(matches!(caller.into_reason(), Some(Reached::Deliver(_))));
}

#[test]
fn with_another_address_of_ours_nobody_rests() {
    let home = house("home.example", "", false);
    home.send(MESSAGE).unwrap();
    let Some(Call::Deliver(remote)) = home.called() else {
        panic!("somebody is to call");
    };
    let server = &home.world.server;
    let error = StanzaError::REMOTE_SERVER_TIMEOUT;
    home.now(server.remote_failed(&remote, error, "nobody answers"));
    assert!(home.called().is_none());
    let shown = server.remotes();
    assert_eq!(shown[0].theirs, ["far.example"]);
    assert_eq!(shown[0].fault.as_ref().unwrap().1, "nobody answers");
    server.renew_remotes();
    assert!(home.called().is_some());
    assert_eq!(remote.rests_until(), 0);
}

#[test]
fn what_a_room_says_waits_apart_from_what_people_say() {
    for (from, apart) in [
        ("juliet@home.example/balcony", false),
        ("room@groupchat.home.example/Juliet", true),
        ("home.example", true),
    ] {
        let home = house("home.example", "", false);
        home.send(&MESSAGE.replace("juliet@home.example/balcony", from))
            .unwrap();
        let Some(Call::Deliver(remote)) = home.called() else {
            panic!("somebody is to call");
        };
        assert_eq!(remote.only_answers(), apart, "{from}");
    }
}

/// RFC 7673 §3.3: only who calls can see whether it is the right certificate.
#[test]
fn to_who_publishes_certificates_nothing_goes_over_their_own_stream() {
    for signs in [true, false] {
        let home = house("home.example", "", false);
        *home.street.signs.lock().unwrap() = Some(signs);
        let mut link = opened_by_far(&home);
        polls(&mut link);
        home.send(MESSAGE).unwrap();
        assert_eq!(home.called().is_some(), signs);
        assert_eq!(says(&home, &mut link).contains("id='m1'"), !signs);
    }
}
