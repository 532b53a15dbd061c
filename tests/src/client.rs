//! One connection of a script, from bytes up to items; and how an ordinary client logs in.

use crate::{
    addresses::{Addresses, HOME},
    component::{self, SECRET},
    script::Port,
    wire::{Item, Wire},
    world::{Link, Problem, World},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::collections::VecDeque;
use xmpp::{Element, ns};

/// The password of every account of every script.
pub(crate) const PASSWORD: &str = "pencil";

/// XEP-0198.
const MANAGEMENT: &str = "urn:xmpp:sm:3";

/// A connection and what came on it that the script has not spoken of yet.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) link: Link,
    pub(crate) queue: VecDeque<Item>,
    wire: Wire,
    /// The full JID whose own presence comes back once and is no news (RFC 6121 §4.2.2).
    echo_of: Option<String>,
    /// Whether the server has closed its stream, and whether we have closed ours.
    closed: (bool, bool),
    /// The line is gone and is not looked at any more.
    pub(crate) is_gone: bool,
    management: Option<Management>,
    is_component: bool,
}

/// XEP-0198, for clients that resume later in the script.
#[derive(Debug)]
struct Management {
    id: String,
    /// Stanzas received since it was enabled.
    handled: u32,
}

impl Client {
    /// A connection on which nothing was said yet.
    pub(crate) fn raw(world: &mut dyn World, port: Port) -> Result<Client, Problem> {
        let mut client = Client::on(world.connect(port)?);
        client.is_component = port == Port::Component;
        Ok(client)
    }

    /// Somebody on another server.
    pub(crate) fn far(world: &mut dyn World, jid: &str) -> Result<Client, Problem> {
        world.make_remote(jid).map(Client::on)
    }

    fn on(link: Link) -> Client {
        Client {
            link,
            queue: VecDeque::new(),
            wire: Wire::default(),
            echo_of: None,
            closed: (false, false),
            is_gone: false,
            management: None,
            is_component: false,
        }
    }

    /// Logs in as that full JID: SASL PLAIN under TLS, then resource binding (RFC 6120 §6, §7).
    pub(crate) fn log_in(
        world: &mut dyn World,
        addresses: &Addresses,
        jid: &str,
    ) -> Result<Client, Problem> {
        let (bare, resource) = jid.split_once('/').unwrap_or((jid, ""));
        let mut client = Client::authenticated(world, addresses, bare)?;
        let bind = format!(
            "<iq type='set' id='bind'><bind xmlns='{}'><resource>{resource}</resource></bind></iq>",
            ns::BIND
        );
        client.write(world, &bind);
        let bound = client.expect(world, addresses, "iq")?;
        let bound_as = bound
            .child(ns::BIND, "bind")
            .and_then(|bind| bind.child(ns::BIND, "jid"))
            .map(Element::text);
        if bound_as.as_deref() != Some(jid) {
            return Err(failed(format!("{jid} could not bind its resource")));
        }
        Ok(client)
    }

    /// Becomes available.
    pub(crate) fn announce(&mut self, world: &mut dyn World, jid: &str) {
        self.echo_of = Some(jid.into());
        self.write(world, "<presence/>");
    }

    /// Asks for the session to be resumable.
    pub(crate) fn enable_management(
        &mut self,
        world: &mut dyn World,
        addresses: &Addresses,
    ) -> Result<(), Problem> {
        self.write(
            world,
            &format!("<enable xmlns='{MANAGEMENT}' resume='true'/>"),
        );
        let enabled = self.expect(world, addresses, "enabled")?;
        let id = enabled
            .attr("id")
            .ok_or_else(|| failed("the session cannot be resumed".into()))?;
        self.management = Some(Management {
            id: id.into(),
            handled: 0,
        });
        Ok(())
    }

    /// Logs in and goes on with the session of a connection that was lost.
    pub(crate) fn resume(
        self,
        world: &mut dyn World,
        addresses: &Addresses,
        bare: &str,
    ) -> Result<Client, Problem> {
        let management = self
            .management
            .ok_or_else(|| failed("its session was not resumable".into()))?;
        let mut client = Client::authenticated(world, addresses, bare)?;
        let Management { id, handled } = &management;
        client.write(
            world,
            &format!("<resume xmlns='{MANAGEMENT}' previd='{id}' h='{handled}'/>"),
        );
        client.management = Some(management);
        client.expect(world, addresses, "resumed")?;
        Ok(client)
    }

    /// Nothing more comes on its connection.
    pub(crate) fn forget_line(&mut self) {
        self.queue.clear();
        self.is_gone = true;
    }

    /// A connection of that account on which no resource is bound yet.
    pub(crate) fn authenticated(
        world: &mut dyn World,
        addresses: &Addresses,
        bare: &str,
    ) -> Result<Client, Problem> {
        let mut client = Client::raw(world, Port::C2sTls)?;
        client.open(world, addresses)?;
        let localpart = bare.split('@').next().unwrap_or_default();
        let plain =
            BASE64_STANDARD.encode(format!("\0{}\0{PASSWORD}", addresses.localpart(localpart)));
        client.write(
            world,
            &format!(
                "<auth xmlns='{}' mechanism='PLAIN'>{plain}</auth>",
                ns::SASL
            ),
        );
        client.expect(world, addresses, "success")?;
        client.open(world, addresses)?;
        Ok(client)
    }

    /// A component that has shown its secret (XEP-0114 §3).
    pub(crate) fn component(
        world: &mut dyn World,
        addresses: &Addresses,
        name: &str,
    ) -> Result<Client, Problem> {
        let mut client = Client::raw(world, Port::Component)?;
        let header = format!(
            "<stream:stream to='{name}' xmlns='{}' xmlns:stream='{}'>",
            ns::COMPONENT,
            ns::STREAMS
        );
        client.write(world, &header);
        client.wait_for(world, addresses, 2)?;
        let opened = client.queue.drain(..).find_map(|item| match item {
            Item::Open(header) => header.attr("id").map(str::to_owned),
            _ => None,
        });
        let id = opened.ok_or_else(|| failed("the server did not open the stream".into()))?;
        let shown = component::handshake(&id, SECRET);
        client.write(world, &format!("<handshake>{shown}</handshake>"));
        client.expect(world, addresses, "handshake")?;
        Ok(client)
    }

    fn open(&mut self, world: &mut dyn World, addresses: &Addresses) -> Result<(), Problem> {
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{HOME}' version='1.0' xml:lang='en' xmlns='{}' \
             xmlns:stream='{}'>",
            ns::CLIENT,
            ns::STREAMS
        );
        self.write(world, &addresses.outward(&header));
        self.expect(world, addresses, "features").map(|_| ())
    }

    pub(crate) fn write(&mut self, world: &mut dyn World, text: &str) {
        world.write(self.link, text.as_bytes());
    }

    /// Takes what has arrived into the queue.
    pub(crate) fn collect(
        &mut self,
        world: &mut dyn World,
        addresses: &Addresses,
    ) -> Result<(), Problem> {
        if self.is_gone {
            return Ok(());
        }
        self.wire.push(&world.read(self.link));
        while let Some(item) = self.wire.take_item().map_err(failed)? {
            let item = match item {
                Item::Element(mut element) => {
                    if self.is_management(world, &element) {
                        continue;
                    }
                    if self.is_component {
                        component::as_scripts_write(&mut element);
                    }
                    addresses.homeward(&mut element);
                    if self.is_echo(&element) {
                        continue;
                    }
                    Item::Element(element)
                }
                Item::Open(mut element) => {
                    addresses.homeward(&mut element);
                    Item::Open(element)
                }
                other => other,
            };
            self.closed.0 |= item == Item::Close;
            self.queue.push_back(item);
        }
        Ok(())
    }

    /// Waits until so many items are in the queue, or no more come.
    pub(crate) fn wait_for(
        &mut self,
        world: &mut dyn World,
        addresses: &Addresses,
        items: usize,
    ) -> Result<(), Problem> {
        loop {
            self.collect(world, addresses)?;
            if self.queue.len() >= items || world.is_closed(self.link) || !world.wait_for_more() {
                return self.collect(world, addresses);
            }
        }
    }

    /// Waits until the server has ended the connection. Closes our stream where the server has closed its own
    /// (RFC 6120 §4.4).
    pub(crate) fn wait_for_end(&mut self, world: &mut dyn World) -> bool {
        if self.closed == (true, false) {
            self.closed.1 = true;
            self.write(world, "</stream:stream>");
        }
        while !world.is_closed(self.link) && world.wait_for_more() {}
        world.is_closed(self.link)
    }

    /// Notes that the script itself has closed the stream.
    pub(crate) fn note_sent(&mut self, text: &str) {
        self.closed.1 |= text.ends_with("</stream:stream>");
    }

    /// What came that is incomplete.
    pub(crate) fn rest(&self) -> String {
        self.wire.rest()
    }

    /// The next element of that name, past headers and declarations.
    fn expect(
        &mut self,
        world: &mut dyn World,
        addresses: &Addresses,
        name: &str,
    ) -> Result<Element, Problem> {
        loop {
            self.wait_for(world, addresses, 1)?;
            match self.queue.pop_front() {
                Some(Item::Element(element)) if element.name == name => return Ok(element),
                Some(Item::Declaration | Item::Open(_)) => {}
                Some(Item::Element(element)) => {
                    let mut text = String::new();
                    element.write(&mut text, ns::CLIENT);
                    return Err(failed(format!(
                        "while logging in, <{name}/> was expected and this came: {text}"
                    )));
                }
                Some(Item::Close) | None => {
                    return Err(failed(format!(
                        "while logging in, <{name}/> was expected and nothing came"
                    )));
                }
            }
        }
    }

    fn is_echo(&mut self, element: &Element) -> bool {
        let is_echo = self.echo_of.is_some()
            && element.is(ns::CLIENT, "presence")
            && element.attr("type").is_none()
            && element.attr("from") == self.echo_of.as_deref();
        if is_echo {
            self.echo_of = None;
        }
        is_echo
    }

    /// Counts stanzas, and answers requests for acknowledgement.
    fn is_management(&mut self, world: &mut dyn World, element: &Element) -> bool {
        let Some(management) = &mut self.management else {
            return false;
        };
        if element.ns == MANAGEMENT && matches!(element.name.as_str(), "r" | "a") {
            if element.name == "r" {
                let answer = format!("<a xmlns='{MANAGEMENT}' h='{}'/>", management.handled);
                world.write(self.link, answer.as_bytes());
            }
            return true;
        }
        if element.ns == ns::CLIENT {
            management.handled = management.handled.wrapping_add(1);
        }
        false
    }
}

fn failed(why: String) -> Problem {
    Problem::Failed(why)
}
