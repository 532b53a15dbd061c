//! Any text is refused or has one normal form, which is an address again, of the same parts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use xmpp::Jid;

fuzz_target!(|text: &str| {
    let Ok(jid) = Jid::parse(text) else { return };
    assert!(jid.as_str().len() <= Jid::BYTES_MAX);
    let again = Jid::parse(jid.as_str()).expect("a normal form is an address");
    assert_eq!(again, jid);
    let parts = |jid: &Jid| {
        [jid.localpart(), Some(jid.domainpart()), jid.resourcepart()]
            .map(|part| part.map(String::from))
    };
    assert_eq!(parts(&again), parts(&jid));
    assert_eq!(
        Jid::from_parts(jid.localpart(), jid.domainpart(), jid.resourcepart()),
        Ok(jid)
    );
});
