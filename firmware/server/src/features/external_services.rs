//! XEP-0215: External Service Discovery. Apps learn where the TURN server is, and get a name and a password
//! for it that are made when they ask and end after a while.
//!
//! State: what there is, in `crate::calls`; per resource what its client asked for.

use crate::{
    account::{Cx, Resource},
    calls::{Change, Credentials, Kind, Service},
    feature::{Answer, Feature, Iq, On, Saved, Spec, get, refuse},
    server::Server,
};
use xmpp::{Entry, Jid, Kind as StanzaKind, StanzaError, compose, datetime};

const NS: &str = "urn:xmpp:extdisco:2";
const SERVICES: (&str, &str) = (NS, "services");
const CREDENTIALS: (&str, &str) = (NS, "credentials");

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(215, "1.0.0", "External Service Discovery"),
    disco: &[(On::Server, NS)],
    iq: &[
        get(On::Server, SERVICES, services),
        get(On::Server, CREDENTIALS, credentials),
        refuse(On::Stranger, "get", SERVICES, |_, _| Err(STRANGER)),
        refuse(On::Stranger, "get", CREDENTIALS, |_, _| Err(STRANGER)),
    ],
    saved: Some(Saved {
        name: "services",
        save: |resource| {
            let Asked(asked) = resource.memory.services;
            (asked != 0).then(|| vec![asked])
        },
        restore: |resource, bytes| {
            resource.memory.services = Asked(bytes.first().copied().unwrap_or_default());
        },
    }),
    ..Feature::NONE
};

/// §2.
const STRANGER: StanzaError =
    StanzaError::FORBIDDEN.with_text("only those who have an account here may use these services");

/// What a session asked for: a bit for each type, and one for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked(u8);

impl Asked {
    const ALL: u8 = 1 << 7;

    fn bit(kind: Option<Kind>) -> u8 {
        kind.map_or(Asked::ALL, |kind| 1 << kind as u8)
    }

    /// The lists that it has: of everything, or of some types.
    fn lists(self) -> Vec<Option<Kind>> {
        if self.0 & Asked::ALL != 0 {
            return vec![None];
        }
        let asked = Kind::ALL.map(Some).into_iter();
        asked
            .filter(|kind| self.0 & Asked::bit(*kind) != 0)
            .collect()
    }
}

/// §3.1, §3.2. Of types that nobody has heard of there are none.
fn services(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let type_ = iq.payload.attr("type");
    let wanted = |service: &Service| {
        let name = service.kind.name();
        type_.as_deref().is_none_or(|wanted| wanted == name)
    };
    let known = type_
        .as_deref()
        .map(|name| Kind::ALL.into_iter().find(|kind| kind.name() == name));
    if let Some(resource) = cx.state.resource(&iq.passing.from) {
        resource.memory.services.0 |= match known {
            None => Asked::bit(None),
            Some(Some(kind)) => Asked::bit(Some(kind)),
            Some(None) => 0,
        };
    }
    let credentials = credentials_of(cx);
    let mut list = String::new();
    for service in cx
        .server
        .call_services()
        .iter()
        .filter(|service| wanted(service))
    {
        write(&mut list, None, service, credentials.as_ref());
    }
    Ok(envelope("services", type_.as_deref(), &list))
}

/// §3.3: for services that need some. Which one is meant is said by its host and type, and perhaps its port.
fn credentials(cx: &mut Cx<'_>, iq: &Iq<'_>) -> Answer {
    let request = iq.payload.element();
    let mut asked = request.elements().filter(|child| child.is(NS, "service"));
    let (Some(asked), None) = (asked.next(), asked.next()) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    let (Some(host), Some(type_)) = (asked.attr("host"), asked.attr("type")) else {
        return Err(StanzaError::BAD_REQUEST);
    };
    let port: Option<u16> = match asked.attr("port").map(str::parse) {
        None => None,
        Some(Ok(port)) => Some(port),
        Some(Err(_)) => return Err(StanzaError::BAD_REQUEST),
    };
    let transport = asked.attr("transport");
    let is_meant = |service: &&Service| {
        service.host.eq_ignore_ascii_case(host)
            && service.kind.name() == type_
            && service.kind.is_restricted()
            && port.is_none_or(|port| port == service.port)
            && transport.is_none_or(|transport| transport == service.transport)
    };
    let credentials = credentials_of(cx);
    let mut list = String::new();
    for service in cx.server.call_services().iter().filter(is_meant) {
        write(&mut list, None, service, credentials.as_ref());
    }
    if list.is_empty() {
        return Err(StanzaError::ITEM_NOT_FOUND);
    }
    Ok(envelope("credentials", None, &list))
}

/// Good from now on.
fn credentials_of(cx: &Cx<'_>) -> Option<Credentials> {
    let secret = cx.server.call_secret()?;
    Some(secret.credentials(cx.id(), cx.now()))
}

fn envelope(name: &str, type_: Option<&str>, content: &str) -> String {
    let mut xml = format!("<{name} xmlns='{NS}'");
    if let Some(type_) = type_ {
        compose::attribute(&mut xml, "type", type_);
    }
    if content.is_empty() {
        return xml + "/>";
    }
    xml + ">" + content + "</" + name + ">"
}

/// §2, with transport and port always: apps that have to guess guess wrong.
fn write(
    xml: &mut String,
    action: Option<&str>,
    service: &Service,
    credentials: Option<&Credentials>,
) {
    let mut attributes = vec![
        ("host", service.host.clone()),
        ("port", service.port.to_string()),
        ("transport", service.transport.to_owned()),
        ("type", service.kind.name().to_owned()),
    ];
    if let Some(action) = action {
        attributes.insert(0, ("action", action.to_owned()));
    }
    if let Some(credentials) = credentials.filter(|_| service.kind.is_restricted()) {
        attributes.extend([
            ("restricted", "true".to_owned()),
            ("username", credentials.username.clone()),
            ("password", credentials.password.clone()),
            ("expires", datetime::format(credentials.expires_ms)),
        ]);
    }
    xml.push_str("<service");
    for (name, value) in attributes {
        compose::attribute(xml, name, &value);
    }
    xml.push_str("/>");
}

/// §3.2: those that asked hear what became of the services that they asked for, with credentials of their
/// own.
pub(crate) fn tell(server: &Server, changes: &[Change]) {
    for account in server.directory().all() {
        if !account.is_room {
            server.at(&account, 0, |cx| push(cx, changes));
        }
    }
}

fn push(cx: &mut Cx<'_>, changes: &[Change]) {
    let asked = |resource: &Resource| {
        let lists = resource.memory.services.lists().into_iter();
        let jid = resource.session.jid.clone();
        lists.map(move |kind| (jid.clone(), kind))
    };
    let lists: Vec<(Jid, Option<Kind>)> = cx.state.resources.iter().flat_map(asked).collect();
    let mut credentials = None;
    for (jid, kind) in lists {
        let mut list = String::new();
        for change in changes {
            let (action, service) = match change {
                Change::Added(service) => ("add", service),
                Change::Modified(service) => ("modify", service),
                Change::Deleted(service) => ("delete", service),
            };
            if kind.is_some_and(|kind| kind != service.kind) {
                continue;
            }
            if credentials.is_none() {
                credentials = credentials_of(cx);
            }
            let shown = credentials.as_ref().filter(|_| action != "delete");
            write(&mut list, Some(action), service, shown);
        }
        if !list.is_empty() {
            let services = envelope("services", kind.map(Kind::name), &list);
            send(cx, jid, services);
        }
    }
}

/// A request of the server's own; whatever the client says to it is not asked for.
fn send(cx: &mut Cx<'_>, to: Jid, services: String) {
    let id = format!("push{}", cx.server.next_number());
    let from = cx.server.domain().as_str();
    let attributes = [("type", "set"), ("id", &*id), ("from", from)];
    let push = Entry::compose(StanzaKind::Iq, Some(to.clone()), &attributes, services);
    cx.deliver_to(&push, |resource| resource.session.jid == to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calls::{Ports, Secret},
        fixture::Fixture,
        session::Session,
        tls::Files,
    };
    use std::{io, path::Path, sync::Arc};

    const ALL: &str = "<services xmlns='urn:xmpp:extdisco:2'/>";
    const TURNS: &str = "<services xmlns='urn:xmpp:extdisco:2' type='turns'/>";
    const FTP: &str = "<services xmlns='urn:xmpp:extdisco:2' type='ftp'/>";

    fn asks(home: &Fixture, session: &Arc<Session>, what: &str) {
        home.send(
            session,
            &format!("<iq type='get' id='s' to='home.example'>{what}</iq>"),
        );
        assert!(home.got(session).concat().contains("type='result'"));
    }

    /// What a session is told: action and service of each, in pushes as they come.
    fn told(home: &Fixture, session: &Arc<Session>) -> String {
        let mut told = Vec::new();
        for push in home.got(session) {
            let to = format!("to='{}'", session.jid);
            assert!(push.contains("type='set'") && push.contains(&to), "{push}");
            assert!(push.contains("from='home.example'"), "{push}");
            let services = push.split("<service ").skip(1).map(|service| {
                let value = |name: &str| {
                    let start = service.split_once(&format!("{name}='"));
                    start.and_then(|(_, rest)| rest.split_once('\'')).unwrap().0
                };
                let key = if service.contains("password='") {
                    "*"
                } else {
                    ""
                };
                let (action, kind, port) = (value("action"), value(" type"), value("port"));
                format!("{action} {kind}{key} {port}")
            });
            let list = services.collect::<Vec<_>>().join(", ");
            let of_one = push.split_once("extdisco:2' type='").map(|(_, rest)| rest);
            let of_one = of_one.map_or("", |rest| rest.split_once('\'').unwrap().0);
            told.push(format!("{of_one}[{list}]"));
        }
        told.join(" ")
    }

    /// Four devices: one asked for everything, one for TURN over TLS, one for something else, one for
    /// nothing.
    struct Asking {
        home: Fixture,
        all: Arc<Session>,
        turns: Arc<Session>,
        others: [Arc<Session>; 2],
    }

    impl Asking {
        fn new() -> Asking {
            let home = Fixture::new(&["juliet"]);
            let [all, turns, ftp, nothing] =
                ["a", "b", "c", "d"].map(|name| home.online("juliet", name));
            for session in [&all, &turns, &ftp, &nothing] {
                home.got(session);
            }
            asks(&home, &all, ALL);
            asks(&home, &all, TURNS);
            asks(&home, &turns, TURNS);
            asks(&home, &ftp, FTP);
            Asking {
                home,
                all,
                turns,
                others: [ftp, nothing],
            }
        }

        fn ports(&self, stun: Option<u16>, turn_tls: Option<u16>) {
            self.home.server.offer_calls(Ports { stun, turn_tls });
        }

        fn check(&self, of_all: &str, of_turns: &str) {
            assert_eq!(told(&self.home, &self.all), of_all);
            assert_eq!(told(&self.home, &self.turns), of_turns);
            for other in &self.others {
                assert_eq!(told(&self.home, other), "");
            }
        }
    }

    #[test]
    fn who_asked_hears_of_ports_that_change() {
        let asking = Asking::new();
        let server = &asking.home.server;
        asking.ports(Some(1), None);
        asking.check("[add stun 1, add stun 1, add turn* 1, add turn* 1]", "");
        asking.ports(Some(1), Some(2));
        asking.check("[add turns* 2]", "turns[add turns* 2]");
        asking.ports(Some(1), Some(2));
        asking.check("", "");
        server.note_https_port(443);
        asking.check("[add turns* 443]", "turns[add turns* 443]");
        asking.ports(Some(1), None);
        asking.check("[delete turns 2]", "turns[delete turns 2]");
        let mut config = (*server.config()).clone();
        config.public.https_port = 444;
        server.configure(Arc::new(config));
        let moved = "[delete turns 443, add turns* 444]";
        asking.check(moved, &format!("turns{moved}"));
        asking.ports(None, None);
        asking.check(
            "[delete stun 1, delete stun 1, delete turn 1, delete turn 1, delete turns 444]",
            "turns[delete turns 444]",
        );
    }

    #[test]
    fn who_asked_hears_of_another_secret() {
        let asking = Asking::new();
        let server = &asking.home.server;
        asking.ports(None, Some(2));
        asking.check("[add turns* 2]", "turns[add turns* 2]");
        // Nobody has read the file yet.
        let mut config = (*server.config()).clone();
        config.turn.secret_file = "secret".into();
        server.configure(Arc::new(config));
        asking.check("[delete turns 2]", "turns[delete turns 2]");
        for (text, told) in [
            ("north", "[add turns* 2]"),
            ("south", "[modify turns* 2]"),
            ("south", ""),
        ] {
            let read = Secret::read(&Text(text), Path::new("secret"));
            server.use_call_secret(Some(read.unwrap()));
            let of_turns = told.replace('[', "turns[");
            asking.check(told, &of_turns);
        }
    }

    struct Text(&'static str);

    impl Files for Text {
        fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
            Ok(self.0.into())
        }

        fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }

        fn write_secret(&self, _: &Path, _: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::ReadOnlyFilesystem.into())
        }
    }

    #[test]
    fn what_was_asked_for_is_a_few_bits() {
        let lists = |bits| Asked(bits).lists();
        assert_eq!(lists(0), []);
        assert_eq!(lists(Asked::bit(Some(Kind::Turn))), [Some(Kind::Turn)]);
        assert_eq!(lists(0b101), [Some(Kind::Stun), Some(Kind::Turns)]);
        assert_eq!(lists(0b101 | Asked::bit(None)), [None]);
    }
}
