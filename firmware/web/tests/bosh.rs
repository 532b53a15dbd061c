//! BOSH over real sockets: what is said by HTTP and by the protocol in it.

mod house;

use house::House;
use server::bosh::limits::BODY_BYTES_MAX;

/// XEP-0124 §17.1: no error of HTTP, and the session is over as its client is told.
#[tokio::test]
async fn a_request_that_is_too_long_ends_its_session() {
    let house = House::new("").await;
    for (bytes, expected) in [(BODY_BYTES_MAX, "policy-violation"), (100, "<body ")] {
        let opened = house.bosh("rid='1' to='home.example' ver='1.6' wait='1' hold='1'", "");
        let opened = opened.await;
        let sid = opened
            .split(" sid='")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let sid = sid.expect("a session");
        let stanza = format!("<message>{}</message>", "x".repeat(bytes));
        let answer = house.bosh(&format!("rid='2' sid='{sid}'"), &stanza).await;
        assert!(answer.contains(expected), "{answer}");
        if bytes == BODY_BYTES_MAX {
            let next = house.bosh(&format!("rid='3' sid='{sid}'"), "").await;
            assert!(next.contains("item-not-found"), "{next}");
        }
    }
}
