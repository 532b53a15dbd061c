//! Requests: who asks (RFC 8489 §9.2.4), and how the answer is put together. What each one does is in
//! `allocate.rs` and `peers.rs`.

use super::{
    core::Core,
    credentials::expiry,
    refusal::{Names, Refusal},
    wire::{Class, Key, Message, Method, Writer, attribute},
    world::{Id, Line, World},
};

/// Who we are, without a version: nobody is told what to try.
const SOFTWARE: &[u8] = b"Hearth";

/// A request, and where it comes from.
pub(super) struct Asked<'a, W: World> {
    pub(super) world: &'a W,
    pub(super) now: u64,
    pub(super) line: &'a W::Line,
    pub(super) message: &'a Message<'a>,
}

/// Somebody whose request is signed as it should be.
pub(super) struct Known<'a> {
    pub(super) username: &'a str,
    pub(super) key: Key,
}

/// What a successful answer tells.
pub(super) enum Told {
    /// Nothing that the question did not say.
    Done,
    /// Everything about this allocation.
    Allocation(Id),
    /// For how long the allocation lives now, in seconds.
    Lifetime(u32),
}

/// Whether an attribute that may not be ignored is one that requests here have. DONT-FRAGMENT is none of
/// them: the system's sockets cannot do it for one packet and not for the next (RFC 8656 §7.2, item 4).
pub(super) fn is_known(kind: u16) -> bool {
    matches!(
        kind,
        attribute::USERNAME
            | attribute::MESSAGE_INTEGRITY
            | attribute::MESSAGE_INTEGRITY_SHA256
            | attribute::CHANNEL_NUMBER
            | attribute::LIFETIME
            | attribute::XOR_PEER_ADDRESS
            | attribute::DATA
            | attribute::REALM
            | attribute::NONCE
            | attribute::REQUESTED_ADDRESS_FAMILY
            | attribute::EVEN_PORT
            | attribute::REQUESTED_TRANSPORT
            | attribute::RESERVATION_TOKEN
    )
}

impl<W: World> Core<W> {
    /// Writes the answer to a request. Returns whether whoever asks is known to be where they say: they have
    /// sent back a nonce that went there.
    pub(super) fn answer(
        &mut self,
        world: &W,
        now: u64,
        line: &W::Line,
        message: &Message<'_>,
        out: &mut Vec<u8>,
    ) -> bool {
        let asked = Asked {
            world,
            now,
            line,
            message,
        };
        if message.method == Method::Binding {
            self.answer_binding(&asked, out);
            return self.by_line.contains_key(line);
        }
        let known = match self.who(&asked) {
            Ok(known) => known,
            Err(refusal) => {
                self.refuse(&asked, refusal, None, out);
                return false;
            }
        };
        match self.act(&asked, &known) {
            Ok(told) => self.tell(&asked, told, &known.key, out),
            Err(refusal) => self.refuse(&asked, refusal, Some(&known.key), out),
        }
        true
    }

    /// RFC 8489 §6.3.1. Nobody has to say who they are.
    fn answer_binding(&self, asked: &Asked<'_, W>, out: &mut Vec<u8>) {
        let unknown = unknown(asked.message);
        if !unknown.is_empty() {
            return self.refuse(asked, Refusal::UnknownAttributes(unknown), None, out);
        }
        let mut answer = begin(asked, Class::Success, out);
        answer.put_address(attribute::XOR_MAPPED_ADDRESS, asked.line.client());
        finish(asked, answer, None);
    }

    /// The checks of RFC 8489 §9.2.4, in their order.
    fn who<'a>(&self, asked: &Asked<'a, W>) -> Result<Known<'a>, Refusal> {
        let message = asked.message;
        if !message.has_integrity() {
            return Err(Refusal::Unauthenticated);
        }
        let username = message.attribute(attribute::USERNAME);
        let nonce = message.attribute(attribute::NONCE);
        let (Some(username), Some(realm), Some(nonce)) =
            (username, message.attribute(attribute::REALM), nonce)
        else {
            return Err(Refusal::BadRequest);
        };
        let username = std::str::from_utf8(username).map_err(|_| Refusal::Unauthenticated)?;
        let id = self.by_line.get(asked.line);
        let own = id.and_then(|id| self.allocations.get(id));
        let key = match own.filter(|own| *own.username == *username) {
            // Whoever relays already may go on: a call does not end because it is midnight.
            Some(own) => own.key,
            None if expiry(username).is_some_and(|until| until <= asked.world.now_s()) => {
                return Err(Refusal::Unauthenticated);
            }
            None => self
                .credentials
                .key(username)
                .ok_or(Refusal::Unauthenticated)?,
        };
        if realm != self.credentials.realm().as_bytes() || !message.is_signed_with(&key) {
            return Err(Refusal::Unauthenticated);
        }
        if !self.nonces.is_valid(nonce, asked.line.client(), asked.now) {
            return Err(Refusal::StaleNonce);
        }
        if !asked.world.may_relay(username) {
            return Err(Refusal::Unauthenticated);
        }
        Ok(Known { username, key })
    }

    fn act(&mut self, asked: &Asked<'_, W>, known: &Known<'_>) -> Result<Told, Refusal> {
        let unknown = unknown(asked.message);
        if !unknown.is_empty() {
            return Err(Refusal::UnknownAttributes(unknown));
        }
        let own = self.by_line.get(asked.line).copied();
        if asked.message.method == Method::Allocate {
            return self.allocate(asked, known, own).map(Told::Allocation);
        }
        let id = own.ok_or(Refusal::AllocationMismatch)?;
        let allocation = self
            .allocations
            .get(&id)
            .ok_or(Refusal::AllocationMismatch)?;
        // RFC 8656 §5: nobody takes over somebody else's.
        if *allocation.username != *known.username {
            return Err(Refusal::WrongCredentials);
        }
        match asked.message.method {
            Method::Refresh => self.refresh(asked, id).map(Told::Lifetime),
            Method::CreatePermission => self.create_permission(asked, id).map(|()| Told::Done),
            Method::ChannelBind => self.bind_channel(asked, id).map(|()| Told::Done),
            // Others do not come so far.
            _ => Err(Refusal::BadRequest),
        }
    }

    fn tell(&self, asked: &Asked<'_, W>, told: Told, key: &Key, out: &mut Vec<u8>) {
        let mut answer = begin(asked, Class::Success, out);
        match told {
            Told::Done => {}
            Told::Lifetime(seconds) => {
                answer.put_number(attribute::LIFETIME, seconds);
            }
            Told::Allocation(id) => self.tell_allocation(asked, id, &mut answer),
        }
        finish(asked, answer, Some(key));
    }

    fn refuse(&self, asked: &Asked<'_, W>, refusal: Refusal, key: Option<&Key>, out: &mut Vec<u8>) {
        let mut answer = begin(asked, Class::Error, out);
        let (value, end) = refusal.value(0);
        answer.put(attribute::ERROR_CODE, &value[..end]);
        match refusal {
            Refusal::UnknownAttributes(names) => {
                let (names, end) = names.bytes();
                answer.put(attribute::UNKNOWN_ATTRIBUTES, &names[..end]);
            }
            Refusal::Unauthenticated | Refusal::StaleNonce => {
                let nonce = self.nonces.make(asked.line.client(), asked.now);
                answer.put(attribute::REALM, self.credentials.realm().as_bytes());
                answer.put(attribute::NONCE, &nonce);
            }
            _ => {}
        }
        finish(asked, answer, key);
    }
}

fn unknown(message: &Message<'_>) -> Names {
    let mut names = Names::default();
    for (kind, _) in message.attributes() {
        if kind < attribute::OPTIONAL && !is_known(kind) {
            names.add(kind);
        }
    }
    names
}

fn begin<'a, W: World>(asked: &Asked<'_, W>, class: Class, out: &'a mut Vec<u8>) -> Writer<'a> {
    let Message {
        method,
        transaction,
        ..
    } = *asked.message;
    Writer::begin(out, class, method, transaction)
}

/// Signs the answer to who is known, and adds a checksum to who sent one. Who we are (RFC 8656 §5) strangers
/// do not hear: what they get shall be small.
fn finish<W: World>(asked: &Asked<'_, W>, mut answer: Writer<'_>, key: Option<&Key>) {
    if let Some(key) = key {
        if let Method::Allocate | Method::Refresh = asked.message.method {
            answer.put(attribute::SOFTWARE, SOFTWARE);
        }
        answer.sign(key);
    }
    if asked.message.has_fingerprint {
        answer.put_fingerprint();
    }
}
