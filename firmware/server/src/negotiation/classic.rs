//! SASL as RFC 6120 §6 wraps it. What differs from SASL2: data stands in the element itself, `=` is the empty
//! string, and the stream restarts after the success.

use super::attempt::decode;
use base64::{Engine, engine::general_purpose::STANDARD};
use xmpp::{Element, SaslFailure};

/// The data of `<auth/>`, if it brings any (§6.4.2).
pub(super) fn initial_response(auth: &Element) -> Result<Option<Vec<u8>>, SaslFailure> {
    let text = auth.text();
    if text.is_empty() {
        Ok(None)
    } else {
        decode(&text).map(Some)
    }
}

/// `<success/>` with its additional data (§6.4.6).
pub(super) fn success(data: Option<&[u8]>) -> String {
    let data = match data {
        None => String::new(),
        Some([]) => "=".to_owned(),
        Some(data) => STANDARD.encode(data),
    };
    format!("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{data}</success>")
}
