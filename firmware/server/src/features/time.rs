//! XEP-0202: Entity Time. The box lives in UTC, so its offset is zero.

use crate::feature::{Answer, Feature, Iq, On, Spec, get_server};
use crate::server::Server;

const NS: &str = "urn:xmpp:time";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(202, "2.0", "Entity Time"),
    disco: &[(On::Server, NS)],
    iq: &[get_server(On::Server, (NS, "time"), time)],
    ..Feature::NONE
};

fn time(server: &Server, _: &Iq<'_>) -> Answer {
    let utc = xmpp::datetime::format(server.now());
    Ok(format!(
        "<time xmlns='{NS}'><tzo>+00:00</tzo><utc>{utc}</utc></time>"
    ))
}
