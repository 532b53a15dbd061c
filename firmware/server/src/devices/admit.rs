//! What a login leaves at the device it came from, and the token that it takes along.

use super::{Device, Id, KNOWN, TokenKey, clean, tokens::Seed};
use crate::{account::Cx, push, server::Server, world::Timestamp};
use std::sync::Arc;
use store::{Ticket, Urgency};
use tracing::error;
use xmpp::{SaslFailure, sasl::ht::Channel};

/// A login that was authenticated.
pub(crate) struct Arrival<'a> {
    pub(crate) id: Id,
    pub(crate) key: &'a TokenKey,
    pub(crate) software: &'a str,
    pub(crate) name: &'a str,
    /// `None` where it signed in with the password.
    pub(crate) used: Option<Used>,
    /// The mechanism of the token that it asks for.
    pub(crate) wants: Option<Channel>,
}

impl Arrival<'_> {
    /// Whether it uses its token for the last time (XEP-0484 §3.6).
    fn gives_back(&self) -> bool {
        self.used.is_some_and(|used| used.invalidate)
    }
}

/// The token that a login was authenticated with.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) seed: Seed,
    pub(crate) count: Option<u32>,
    pub(crate) invalidate: bool,
}

/// What goes into `<success/>`.
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) expires_ms: Timestamp,
}

/// What was decided under the lock.
#[derive(Default)]
struct Admitted {
    issued: Option<Issued>,
    /// Of the write that the answer promises.
    promised: Option<Ticket>,
}

impl Server {
    /// Notes a login at its device, and gives it a token where it wants one or needs a new one. A token is
    /// on the disk before it is given away (house rule 5), and one that was given back is gone from it.
    ///
    /// # Errors
    /// `credentials-expired` where the token it used is worth nothing any more; `temporary-auth-failure`
    /// where the disk does not take back a token.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        localpart: &str,
        arrival: &Arrival<'_>,
    ) -> Result<Option<Issued>, SaslFailure> {
        loop {
            let account = self.load(localpart).await.map_err(|error| {
                error!(localpart, %error, "account cannot be loaded");
                SaslFailure::TEMPORARY_AUTH_FAILURE
            })?;
            // Closed since its keys were looked up.
            let account = account.ok_or(SaslFailure::NOT_AUTHORIZED)?;
            let admitted = self.at(&account, 0, |cx| {
                (!cx.state.is_gone()).then(|| admit(cx, arrival))
            });
            let Some(admitted) = admitted else {
                continue;
            };
            let Admitted { issued, promised } = admitted?;
            let Some(ticket) = promised else {
                return Ok(None);
            };
            if self.is_kept(ticket).await {
                return Ok(issued);
            }
            // DESIGN §6: what a failed group changed in memory never became true.
            self.directory().forget(&account);
            return if arrival.gives_back() {
                Err(SaslFailure::TEMPORARY_AUTH_FAILURE)
            } else {
                Ok(None)
            };
        }
    }
}

fn admit(cx: &mut Cx<'_>, arrival: &Arrival<'_>) -> Result<Admitted, SaslFailure> {
    let (id, now) = (arrival.id, cx.now());
    let known = cx.state.memory.devices.get(id);
    if let Some(used) = &arrival.used
        && !known.is_some_and(|device| device.may_use(&used.seed, used.count, now))
    {
        return Err(SaslFailure::CREDENTIALS_EXPIRED);
    }
    if !cx.server.store().takes_writes() {
        // The login is good, and nothing can be noted about it; giving a token back would be noting it.
        return if arrival.gives_back() {
            Err(SaslFailure::TEMPORARY_AUTH_FAILURE)
        } else {
            Ok(Admitted::default())
        };
    }
    make_room(cx, id);
    let (account, server) = (cx.id(), cx.server);
    let device = note(cx, arrival);
    let mut moved = false;
    let mut wants = arrival.wants;
    if let Some(used) = &arrival.used {
        moved = device.use_token(&used.seed, used.count);
        if used.invalidate {
            // §3.6; a newer one was never received, or this one would not have been used.
            (device.current, device.new) = (None, None);
        } else if let Some(current) = device.current.as_ref().filter(|token| token.is_due(now)) {
            wants = wants.or(Some(current.channel()));
        }
    }
    let issued = wants.map(|channel| {
        let (token, text) = arrival.key.issue(channel, now, server.dice());
        let expires_ms = token.expires_ms;
        // §3.5: the current one stays until this one is used; one that was never used goes.
        device.new = Some(Box::new(token));
        Issued {
            token: text,
            expires_ms,
        }
    });
    let write = KNOWN.put(&(account, id.0), device);
    let mut promised = None;
    if issued.is_some() || arrival.gives_back() {
        // Not through `cx`, whose ticket is that of the whole account.
        promised = Some(server.store().queue(vec![write], Urgency::Now));
    } else if moved {
        cx.write(write);
    } else {
        cx.write_soon(write);
    }
    Ok(Admitted { issued, promised })
}

/// Forgets devices that never came back, and one more where a new one needs its place.
fn make_room(cx: &mut Cx<'_>, id: Id) {
    let mut connected = cx.state.connected();
    connected.push(id);
    let devices = &cx.state.memory.devices;
    let mut gone = devices.given_up(&connected, cx.now());
    if devices.get(id).is_none() && gone.is_empty() {
        gone.extend(devices.without_place(&connected));
    }
    for id in gone {
        cx.state.memory.devices.remove(id);
        cx.write_soon(KNOWN.remove(&(cx.id(), id.0)));
        push::device_forgotten(cx, id);
    }
}

/// The device with what this login tells of it.
fn note<'a>(cx: &'a mut Cx<'_>, arrival: &Arrival<'_>) -> &'a mut Device {
    let now = cx.now();
    let devices = &mut cx.state.memory.devices.0;
    let at = devices.iter().position(|(id, _)| *id == arrival.id);
    let at = at.unwrap_or_else(|| {
        devices.reserve_exact(1); // most accounts have few
        devices.push((arrival.id, Device::new(now)));
        devices.len() - 1
    });
    let device = &mut devices[at].1;
    for (told, kept) in [
        (arrival.software, &mut device.software),
        (arrival.name, &mut device.name),
    ] {
        let told = clean(told);
        if !told.is_empty() {
            *kept = told;
        }
    }
    device.last_seen_ms = now;
    device.password |= arrival.used.is_none();
    device
}
