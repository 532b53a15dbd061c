//! The log of somebody who looks for a fault has nothing in it that opens a file or a session. Alone here:
//! whoever listens to a log listens to a whole program.

mod house;
mod log;

use house::{House, JPEG};
use log::Log;

/// PLAIN, for juliet.
const PASSWORD: &str = "AGp1bGlldABzZWNyZXQ=";

#[tokio::test]
async fn a_log_tells_no_secrets() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).expect("the only one");
    let house = House::new("").await;
    let slot = house.slot("secret-name.jpg", 4, JPEG).await;
    let token = slot.put.split_once("token=").expect("a token").1;
    let id = slot.get.split('/').nth(2).expect("an id");
    house.put(&slot.put, JPEG, b"abc").await;
    house.put(&slot.put, "text/html", b"abcd").await;
    house.put(&slot.put, JPEG, b"abcd").await;
    house.put(&slot.put, JPEG, b"abcd").await;
    house.get(&slot.get, "").await;
    house.request("DELETE", &slot.put, "", b"").await;
    for file in house.files() {
        std::fs::remove_file(&file).expect("there");
    }
    house.get(&slot.get, "").await;

    let opened = house
        .bosh("rid='1' to='home.example' ver='1.6' wait='5' hold='1'", "")
        .await;
    let sid = opened
        .split(" sid='")
        .nth(1)
        .and_then(|rest| rest.split('\'').next());
    let sid = sid.expect("a session");
    let auth = format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{PASSWORD}</auth>"
    );
    let entered = house.bosh(&format!("rid='2' sid='{sid}'"), &auth).await;
    assert!(entered.contains("<success"), "{entered}");
    let failed = house
        .bosh(&format!("rid='3' sid='{sid}'"), "<x:y xmlns:x='z'/>")
        .await;
    assert!(failed.contains("type='terminate'"), "{failed}");
    house.bosh(&format!("rid='4' sid='{sid}'"), "").await;
    house.bosh(&format!("rid='x' sid='{sid}'"), "").await;

    let text = log.text();
    assert_eq!(text.matches("/upload/{*file}").count(), 7, "{text}");
    assert_eq!(text.matches("/http-bind").count(), 5, "{text}");
    for secret in [token, id, "secret-name", sid, PASSWORD] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}
