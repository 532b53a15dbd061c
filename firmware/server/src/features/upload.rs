//! XEP-0363: HTTP File Upload, the wire face of `crate::uploads`: who asks for a slot, and what is said to
//! them. Files themselves come and go over HTTP (crate `web`).
//!
//! Of the purposes of §5 those are offered that a household's rules allow: messages, and what its sender
//! wants to be gone earlier. Nothing is kept for longer than `upload.expire_after`.
//!
//! State: `crate::uploads`.

use super::disco::{self, service_info};
use crate::{
    feature::{Answer, DiscoForm, Feature, Iq, On, Spec, get_server},
    router::Found,
    server::Server,
    uploads::{self, SlotRefusal, Wanted},
    world::Timestamp,
};
use std::sync::Arc;
use tracing::error;
use xmpp::{Element, Passing, StanzaError, compose, datetime};

const NS: &str = "urn:xmpp:http:upload:0";
const PURPOSE: &str = "urn:xmpp:http:upload:purpose:0";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(363, "1.2.0", "HTTP File Upload"),
    identities: &[(On::UploadService, "store", "file")],
    disco: &[
        (On::UploadService, disco::INFO),
        (On::UploadService, disco::ITEMS),
        (On::UploadService, NS),
        (On::UploadService, "urn:xmpp:http:upload:purpose:0#message"),
        (
            On::UploadService,
            "urn:xmpp:http:upload:purpose:0#ephemeral",
        ),
    ],
    iq: &[
        get_server(On::UploadService, (disco::INFO, "query"), info),
        get_server(On::UploadService, (disco::ITEMS, "query"), items),
    ],
    ..Feature::NONE
};

const STRANGER: StanzaError =
    StanzaError::FORBIDDEN.with_text("only those who have an account here may upload files");
const INCOMPLETE: StanzaError =
    StanzaError::BAD_REQUEST.with_text("a slot needs the name of a file and its size in bytes");
const NO_MOMENT: StanzaError =
    StanzaError::BAD_REQUEST.with_text("say when the file is to be gone");
const GONE: StanzaError =
    StanzaError::BAD_REQUEST.with_text("the file would be gone before it came");
const OTHER_PURPOSE: StanzaError =
    StanzaError::FEATURE_NOT_IMPLEMENTED.with_text("files are kept here for messages alone");
const TOO_LARGE: StanzaError = StanzaError::NOT_ACCEPTABLE.with_text("this file is too large");
const FULL: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("your files take up all the room you have here");
const TOO_MANY: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("you asked for many files at once: try again later");
const FULL_DISK: StanzaError =
    StanzaError::RESOURCE_CONSTRAINT.with_text("the server cannot store anything at the moment");

/// §3: with the largest size, so that clients need not ask in vain.
fn info(server: &Server, iq: &Iq<'_>) -> Answer {
    if iq.payload.attr("node").is_some() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    let largest = uploads::file_bytes_max(&server.config());
    let form = DiscoForm {
        form_type: NS,
        fields: vec![("max-file-size", "text-single", vec![largest.to_string()])],
    };
    Ok(service_info(On::UploadService, vec![form]))
}

fn items(_: &Server, iq: &Iq<'_>) -> Answer {
    match iq.payload.attr("node") {
        None => Ok(format!("<query xmlns='{}'/>", disco::ITEMS)),
        Some(_) => Err(StanzaError::ITEM_NOT_FOUND),
    }
}

/// Whether this asks for a slot (§4), which may need the disk.
pub(crate) fn asks_for_slot(iq: &Iq<'_>) -> bool {
    iq.passing.stanza.type_() == "get" && iq.payload.ns() == NS && iq.payload.name() == "request"
}

/// §4, §6.
pub(crate) async fn slot(server: &Arc<Server>, passing: &Passing) -> Found {
    let Some(request) = passing.stanza.child(NS, "request") else {
        return Found::Refused(StanzaError::BAD_REQUEST);
    };
    let account = match server.localpart(&passing.from) {
        None => return Found::Refused(STRANGER),
        Some(localpart) => match server.load(localpart).await {
            Ok(Some(account)) => account,
            Ok(None) => return Found::Refused(STRANGER),
            Err(error) => {
                error!(localpart, %error, "account cannot be loaded");
                return Found::Refused(FULL_DISK);
            }
        },
    };
    let wanted = match wanted(&request.element()) {
        Ok(wanted) => wanted,
        Err(refusal) => return Found::Refused(refusal),
    };
    match server.upload_slot(&account, wanted).await {
        Ok(slot) => {
            let mut xml = format!("<slot xmlns='{NS}'><put");
            compose::attribute(&mut xml, "url", &slot.put);
            xml += "/><get";
            compose::attribute(&mut xml, "url", &slot.get);
            Found::Answered(Ok(xml + "/></slot>"))
        }
        Err(refusal) => refused(passing, refusal),
    }
}

fn wanted(request: &Element) -> Result<Wanted, StanzaError> {
    let name = request.attr("filename").unwrap_or_default();
    let bytes = request.attr("size").and_then(|size| size.parse().ok());
    let mut purposes = request.elements().filter(|child| child.ns == PURPOSE);
    let gone = match purposes.next() {
        None => None,
        Some(purpose) if purpose.name == "message" => None,
        Some(purpose) if purpose.name == "ephemeral" => {
            let gone = purpose.attr("expire-before").and_then(datetime::parse);
            Some(gone.ok_or(NO_MOMENT)?)
        }
        Some(_) => return Err(OTHER_PURPOSE),
    };
    bytes
        .and_then(|bytes| Wanted::new(name, bytes, request.attr("content-type"), gone))
        .ok_or(INCOMPLETE)
}

fn refused(passing: &Passing, refusal: SlotRefusal) -> Found {
    let retry = |stamp: Timestamp| {
        // Whole seconds, behind the moment.
        let stamp = datetime::format(stamp.div_ceil(1_000).saturating_mul(1_000));
        format!("<retry xmlns='{NS}' stamp='{stamp}'/>")
    };
    let (error, detail) = match refusal {
        SlotRefusal::TooLarge(largest) => (
            TOO_LARGE,
            format!(
                "<file-too-large xmlns='{NS}'><max-file-size>{largest}</max-file-size></file-too-large>"
            ),
        ),
        SlotRefusal::Full(stamp) => (FULL, stamp.map(retry).unwrap_or_default()),
        SlotRefusal::TooMany(stamp) => (TOO_MANY, retry(stamp)),
        SlotRefusal::Gone => return Found::Refused(GONE),
        SlotRefusal::Nowhere => return Found::Refused(StanzaError::SERVICE_UNAVAILABLE),
        SlotRefusal::Disk => return Found::Refused(FULL_DISK),
    };
    Found::Replied(passing.refused_because(error, &detail))
}
