//! A line between a device and the server: what is written at one end is on its way until it is carried to
//! the other, and a line may break at any byte.

use super::{heard::Heard, ledger::Ledger};
use crate::{
    simulated::Simulated,
    wire::{Item, Wire},
    world::{Link, World},
};
use std::collections::VecDeque;
use xmpp::Element;

pub(super) const MANAGEMENT: &str = "urn:xmpp:sm:3";

#[derive(Debug)]
pub(super) struct Line {
    pub(super) link: Link,
    /// The bare JID of the device that has it.
    account: String,
    towards_server: VecDeque<u8>,
    towards_client: VecDeque<u8>,
    /// Bytes that the client has written, and those that reached the server.
    written: u64,
    carried: u64,
    /// Where the counted stanzas end that are on their way.
    ends: VecDeque<u64>,
    /// Counted stanzas that have reached the server, and those of them that it has certainly worked off.
    pub(super) arrived: u32,
    pub(super) processed: u32,
    /// The stream as the client reads it, and as the server wrote it.
    read: Wire,
    said: Wire,
    /// The server counts what it sends.
    managed: bool,
    /// The disk was in trouble while it was there.
    pub(super) is_troubled: bool,
}

impl Line {
    pub(super) fn new(link: Link, account: String) -> Line {
        Line {
            link,
            account,
            towards_server: VecDeque::new(),
            towards_client: VecDeque::new(),
            written: 0,
            carried: 0,
            ends: VecDeque::new(),
            arrived: 0,
            processed: 0,
            read: Wire::default(),
            said: Wire::default(),
            managed: false,
            is_troubled: false,
        }
    }

    /// The client writes.
    pub(super) fn write(&mut self, text: &str) {
        self.towards_server.extend(text.as_bytes());
        self.written += text.len() as u64;
    }

    /// The client writes a stanza that both count.
    pub(super) fn write_counted(&mut self, text: &str) {
        self.write(text);
        self.ends.push_back(self.written);
    }

    /// Bytes on their way: to the server, to the client.
    pub(super) fn in_flight(&self) -> (usize, usize) {
        (self.towards_server.len(), self.towards_client.len())
    }

    /// So many bytes reach the server.
    pub(super) fn carry_to_server(&mut self, world: &mut Simulated, bytes: usize) {
        let bytes = bytes.min(self.towards_server.len());
        let bytes: Vec<u8> = self.towards_server.drain(..bytes).collect();
        if world.is_closed(self.link) || bytes.is_empty() {
            return;
        }
        self.carried += bytes.len() as u64;
        while self.ends.front().is_some_and(|end| *end <= self.carried) {
            self.ends.pop_front();
            self.arrived += 1;
        }
        world.write(self.link, &bytes);
    }

    /// The world came to rest: what arrived is worked off, unless the line ended over it.
    pub(super) fn came_to_rest(&mut self, world: &Simulated) {
        if !world.is_closed(self.link) {
            self.processed = self.arrived;
        }
    }

    /// Takes what the server wrote onto the line. What it writes to one who does not count is delivered for
    /// good, as far as it can know.
    pub(super) fn collect(
        &mut self,
        world: &mut Simulated,
        ledger: &mut Ledger,
    ) -> Result<(), String> {
        let account = &self.account;
        let bytes = world.take_written(self.link);
        if bytes.is_empty() {
            return Ok(());
        }
        self.said.push(&bytes);
        self.towards_client.extend(bytes);
        while let Some(item) = self.said.take_item()? {
            let Item::Element(element) = item else {
                continue;
            };
            self.managed |= begins_counting(&element);
            if !self.managed {
                ledger.written_for_good(&Heard::of(&element, account));
            }
        }
        Ok(())
    }

    /// So many bytes reach the client; the items that are whole by then.
    pub(super) fn carry_to_client(&mut self, bytes: usize) -> Result<Vec<Item>, String> {
        let bytes = bytes.min(self.towards_client.len());
        let bytes: Vec<u8> = self.towards_client.drain(..bytes).collect();
        self.read.push(&bytes);
        let mut items = Vec::new();
        while let Some(item) = self.read.take_item()? {
            items.push(item);
        }
        Ok(items)
    }

    /// Nothing more will ever come.
    pub(super) fn is_at_its_end(&self, world: &Simulated) -> bool {
        self.towards_client.is_empty() && world.is_closed(self.link)
    }
}

/// Whether what the server sends behind this is counted.
fn begins_counting(element: &Element) -> bool {
    let told =
        |element: &Element| element.is(MANAGEMENT, "enabled") || element.is(MANAGEMENT, "resumed");
    told(element)
        || element
            .elements()
            .any(|inner| told(inner) || inner.elements().any(told))
}
