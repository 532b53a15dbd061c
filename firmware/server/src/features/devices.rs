//! XEP-0494: Client Access Management. Who has an account sees which devices have access to it, and may take
//! it away.
//!
//! State: that of `devices.rs`; nothing of its own.

use crate::{
    account::Cx,
    devices::{self, Id},
    feature::{Answer, Feature, Iq, On, Saved, Spec, get, set},
};
use xmpp::{Jid, StanzaError, compose, datetime};

const NS: &str = "urn:xmpp:cam:0";

/// §3.2: who knows the password comes back with it.
const PASSWORD_RESET_REQUIRED: StanzaError = StanzaError::SERVICE_UNAVAILABLE
    .with_detail("<password-reset-required xmlns='urn:xmpp:cam:0'/>");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(494, "0.1.0", "Client Access Management"),
    disco: &[(On::OwnAccount, NS)],
    iq: &[
        get(On::OwnAccount, (NS, "list"), list),
        set(On::OwnAccount, (NS, "revoke"), revoke),
    ],
    gone: Some(note_farewell),
    written_anew: Some(devices::write_anew),
    saved: Some(Saved {
        name: "device",
        save: |resource| Some(resource.memory.device?.to_bytes().to_vec()),
        restore: |resource, bytes| resource.memory.device = Id::from_bytes(bytes),
    }),
    ..Feature::NONE
};

/// §3.1.
fn list(cx: &mut Cx<'_>, _: &Iq<'_>) -> Answer {
    let (now, connected) = (cx.now(), cx.state.connected());
    let mut clients = String::new();
    for (id, device) in cx.state.memory.devices.iter() {
        let is_connected = connected.contains(id);
        let last_seen = if is_connected {
            now
        } else {
            device.last_seen_ms
        };
        let child = |there: bool, xml: &'static str| if there { xml } else { "" };
        let named = |element: &str, name: &str| match compose::escaped(name) {
            name if name.is_empty() => String::new(),
            name => format!("<{element}>{name}</{element}>"),
        };
        // Whoever has signed in may do everything (`unrestricted`): there are no lesser kinds of access.
        clients.push_str(&format!(
            "<client connected='{is_connected}' id='{id}' type='session'>\
             <first-seen>{}</first-seen><last-seen>{}</last-seen>\
             <auth>{}{}</auth><permission status='unrestricted'/><user-agent>{}{}</user-agent></client>",
            datetime::format(device.first_seen_ms),
            datetime::format(last_seen),
            child(device.password, "<password/>"),
            child(device.has_token(now), "<fast/>"),
            named("software", &device.software),
            named("device", &device.name),
        ));
    }
    Ok(format!("<clients xmlns='{NS}'>{clients}</clients>"))
}

/// §3.2. Who knows the password is told to change it, and loses the rest at once: a phone that was lost may
/// well have nothing but its session and a token.
fn revoke(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let id = iq.payload.attr("id").ok_or(StanzaError::BAD_REQUEST)?;
    let id: Id = id.parse().map_err(|()| StanzaError::ITEM_NOT_FOUND)?;
    let device = cx.state.memory.devices.get(id);
    if !device.ok_or(StanzaError::ITEM_NOT_FOUND)?.password {
        devices::signed_out(cx, id);
        return Ok(String::new());
    }
    // Who asks this of the own device would not hear the answer.
    let own = cx.state.resource(&iq.passing.from);
    if own.is_none_or(|own| own.memory.device != Some(id)) {
        devices::cut_off(cx, id);
    }
    Err(PASSWORD_RESET_REQUIRED)
}

fn note_farewell(cx: &mut Cx<'_>, session: &Jid) {
    let device = cx
        .state
        .resource(session)
        .and_then(|gone| gone.memory.device);
    if let Some(id) = device {
        devices::seen(cx, id);
    }
}
