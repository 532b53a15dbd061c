//! XEP-0092: Software Version. Name and version, so that a client's developer can be told; never the
//! operating system.

use crate::feature::{Answer, Feature, Iq, On, Spec, get_server};
use crate::server::Server;

const NS: &str = "jabber:iq:version";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(92, "1.1", "Software Version"),
    disco: &[(On::Server, NS)],
    iq: &[get_server(On::Server, (NS, "query"), version)],
    ..Feature::NONE
};

fn version(_: &Server, _: &Iq<'_>) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!(
        "<query xmlns='{NS}'><name>Hearth</name><version>{version}</version></query>"
    ))
}
