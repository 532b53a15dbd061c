//! UPnP Internet Gateway Devices (UPnP Forum: WANIPConnection:2, WANIPv6FirewallControl:1): finds the router,
//! asks it for ports and for its address outside.
//!
//! Our own, because what comes from a network at home may be anything: only the router itself is heard, only
//! on itself it may refer us to, and all that it sends is short and read once (`limits.rs`). Owns where it
//! is.

mod lan;
mod search;
mod xml;

use super::port::{Lease, Port, Refusal};
use lan::Place;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a gateway may call the service that has ports, the best first.
const CONNECTIONS: [&str; 3] = [
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
];
/// And the one that lets IPv6 in.
const FIREWALL: [&str; 1] = ["urn:schemas-upnp-org:service:WANIPv6FirewallControl:1"];

/// Errors of WANIPConnection:2 §2.5 and of the architecture.
const NO_SUCH_ENTRY: u32 = 714;
const CONFLICT: u32 = 718;
const ONLY_PERMANENT: u32 = 725;
/// "Invalid arguments": what some gateways say to a lease.
const INVALID: u32 = 402;
const NOT_AUTHORIZED: u32 = 606;
const NO_SPACE: u32 = 728;
const PINHOLE_SPACE: u32 = 701;
const NO_SUCH_PINHOLE: u32 = 704;

/// A service of a gateway.
struct Service {
    place: Place,
    kind: &'static str,
}

/// Ports of IPv4.
pub(super) struct Gateway {
    service: Service,
    /// The address of ours that ports lead to.
    own: Ipv4Addr,
    /// It opens ports for ever or not at all.
    only_permanent: bool,
}

/// Holes for IPv6.
pub(super) struct Firewall {
    service: Service,
    own: Ipv6Addr,
    /// The numbers that the gateway gave to holes, by port.
    holes: Vec<(Port, String)>,
}

/// What went wrong with a request.
enum Trouble {
    /// No answer, or none that makes sense.
    Silent,
    /// An error of UPnP.
    Error(u32),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Refusal {
        match trouble {
            Trouble::Silent => Refusal::Silent,
            Trouble::Error(CONFLICT) => Refusal::Taken(None),
            Trouble::Error(NOT_AUTHORIZED) => Refusal::Forbidden,
            Trouble::Error(NO_SPACE | PINHOLE_SPACE) => Refusal::Full,
            Trouble::Error(number) => Refusal::Other(number),
        }
    }
}

/// Finds the router at this address, as seen from that one of ours, and a service of it.
async fn find(router: Ipv4Addr, own: Ipv4Addr, kinds: &[&'static str]) -> Option<Service> {
    service_at(&search::place(router, own).await?, kinds).await
}

/// The same, where the router describes itself on this page.
async fn service_at(page: &Place, kinds: &[&'static str]) -> Option<Service> {
    let body = lan::get(page).await?;
    let (kind, url) = xml::service(&body, kinds)?;
    let place = page.beside(&url)?;
    Some(Service { place, kind })
}

impl Service {
    /// One action; the arguments of the answer by name.
    async fn act(
        &self,
        action: &str,
        arguments: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>, Trouble> {
        let mut body = format!(
            "<?xml version=\"1.0\"?>\r\n\
             <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
             <u:{action} xmlns:u=\"{}\">",
            self.kind
        );
        for (name, value) in arguments {
            body.push_str(&format!("<{name}>{value}</{name}>"));
        }
        body.push_str(&format!("</u:{action}></s:Body></s:Envelope>\r\n"));
        let action = format!("\"{}#{action}\"", self.kind);
        let (is_done, answer) = lan::post(&self.place, &action, body)
            .await
            .ok_or(Trouble::Silent)?;
        let texts = xml::texts(&answer).ok_or(Trouble::Silent)?;
        if is_done {
            return Ok(texts);
        }
        let number = value(&texts, "errorCode").and_then(|it| it.parse().ok());
        Err(number.map_or(Trouble::Silent, Trouble::Error))
    }
}

fn value<'a>(texts: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut texts = texts.iter();
    texts.find(|(known, _)| known == name).map(|(_, it)| &**it)
}

impl Gateway {
    pub(super) async fn find(router: Ipv4Addr, own: Ipv4Addr) -> Option<Gateway> {
        Some(Gateway {
            service: find(router, own, &CONNECTIONS).await?,
            own,
            only_permanent: false,
        })
    }

    /// The router's address outside.
    pub(super) async fn external(&self) -> Result<Ipv4Addr, Refusal> {
        let texts = self.service.act("GetExternalIPAddress", &[]).await?;
        let address = value(&texts, "NewExternalIPAddress").and_then(|it| it.parse().ok());
        address.ok_or(Refusal::Silent)
    }

    /// Whether this port still leads to us: a router that started again has forgotten it.
    pub(super) async fn has(&self, port: &Port) -> bool {
        self.holder(port)
            .await
            .is_ok_and(|it| it == self.own.to_string())
    }

    /// Opens a port, or keeps it open.
    pub(super) async fn map(&mut self, port: &Port, seconds: u32) -> Result<Lease, Refusal> {
        let lease = if self.only_permanent { 0 } else { seconds };
        match self.add(port, lease).await {
            Ok(()) => Ok(Lease { seconds: lease }),
            Err(Trouble::Error(ONLY_PERMANENT | INVALID)) if lease != 0 => {
                self.only_permanent = true;
                self.add(port, 0).await?;
                Ok(Lease { seconds: 0 })
            }
            Err(Trouble::Error(CONFLICT)) => match self.holder(port).await {
                // It is ours from before: some take the same again for a conflict.
                Ok(holder) if holder == self.own.to_string() => Ok(Lease { seconds: lease }),
                holder => Err(Refusal::Taken(holder.ok())),
            },
            Err(trouble) => Err(trouble.into()),
        }
    }

    async fn add(&self, port: &Port, lease: u32) -> Result<(), Trouble> {
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &*port.outside.to_string()),
            ("NewProtocol", port.protocol.upper()),
            ("NewInternalPort", &*port.inside.to_string()),
            ("NewInternalClient", &*self.own.to_string()),
            ("NewEnabled", "1"),
            (
                "NewPortMappingDescription",
                &*format!("Hearth {}", port.name),
            ),
            ("NewLeaseDuration", &*lease.to_string()),
        ];
        self.service.act("AddPortMapping", &arguments).await?;
        Ok(())
    }

    /// Whose port it is.
    async fn holder(&self, port: &Port) -> Result<String, Trouble> {
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &*port.outside.to_string()),
            ("NewProtocol", port.protocol.upper()),
        ];
        let service = &self.service;
        let texts = service
            .act("GetSpecificPortMappingEntry", &arguments)
            .await?;
        let address = value(&texts, "NewInternalClient").and_then(|it| it.parse::<IpAddr>().ok());
        address.map(|it| it.to_string()).ok_or(Trouble::Silent)
    }

    /// Closes a port, if it is ours.
    pub(super) async fn unmap(&self, port: &Port) -> Result<(), Refusal> {
        if !self.has(port).await {
            return Ok(());
        }
        let arguments = [
            ("NewRemoteHost", ""),
            ("NewExternalPort", &*port.outside.to_string()),
            ("NewProtocol", port.protocol.upper()),
        ];
        match self.service.act("DeletePortMapping", &arguments).await {
            Ok(_) | Err(Trouble::Error(NO_SUCH_ENTRY)) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

impl Firewall {
    pub(super) async fn find(router: Ipv4Addr, near: Ipv4Addr, own: Ipv6Addr) -> Option<Firewall> {
        Some(Firewall {
            service: find(router, near, &FIREWALL).await?,
            own,
            holes: Vec::new(),
        })
    }

    /// Opens a hole, or keeps it open.
    pub(super) async fn map(&mut self, port: &Port, seconds: u32) -> Result<Lease, Refusal> {
        let lease = seconds.to_string();
        if let Some((_, number)) = self.holes.iter().find(|(known, _)| known == port) {
            let arguments = [("UniqueID", &**number), ("NewLeaseTime", &*lease)];
            match self.service.act("UpdatePinhole", &arguments).await {
                Ok(_) => return Ok(Lease { seconds }),
                Err(Trouble::Error(NO_SUCH_PINHOLE)) => {}
                Err(trouble) => return Err(trouble.into()),
            }
            self.holes.retain(|(known, _)| known != port);
        }
        let arguments = [
            ("RemoteHost", ""),
            ("RemotePort", "0"),
            ("InternalClient", &*self.own.to_string()),
            ("InternalPort", &*port.inside.to_string()),
            ("Protocol", &*port.protocol.number().to_string()),
            ("LeaseTime", &*lease),
        ];
        let texts = self.service.act("AddPinhole", &arguments).await?;
        let number = value(&texts, "UniqueID").and_then(|it| it.trim().parse::<u16>().ok());
        let number = number.ok_or(Refusal::Silent)?;
        self.holes.push((port.clone(), number.to_string()));
        Ok(Lease { seconds })
    }

    pub(super) async fn unmap(&mut self, port: &Port) -> Result<(), Refusal> {
        let Some(at) = self.holes.iter().position(|(known, _)| known == port) else {
            return Ok(());
        };
        let (_, number) = self.holes.swap_remove(at);
        match self
            .service
            .act("DeletePinhole", &[("UniqueID", &*number)])
            .await
        {
            Ok(_) | Err(Trouble::Error(NO_SUCH_PINHOLE)) => Ok(()),
            Err(trouble) => Err(trouble.into()),
        }
    }
}

#[cfg(test)]
mod tests;
