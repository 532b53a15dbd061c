//! XEP-0504: Data Policy. What becomes of the data on this server, said so that an app can show it.
//!
//! Only what is so for every household is said: nothing of its place, its backups or its rules.

use crate::{
    feature::{DiscoForm, Feature, Spec},
    limits::WAITING_MS_MAX,
    server::Server,
};
use std::time::Duration;

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(504, "0.1.0", "Data Policy"),
    disco_form: Some(form),
    ..Feature::NONE
};

const HOUR_MS: u64 = 3_600_000;

fn form(server: &Server) -> Option<DiscoForm> {
    let is = |value: &str| vec![value.to_owned()];
    Some(DiscoForm {
        form_type: "urn:xmpp:data-policy:0",
        fields: vec![
            // §3.1: apps may send the password itself, and it goes through memory here when it is changed.
            ("auth_data", "list-single", is("plain")),
            (
                "data_retention",
                "text-single",
                vec![retention(server.config().archive.keep)],
            ),
            // §3.5: the card of a small box is not encrypted by us.
            ("encryption_at_rest", "boolean", is("false")),
            // §3.9: whoever has the box has what is on it.
            ("access_policy", "list-multi", is("admins")),
            // §3.10: XEP-0077 removes the account with everything it has.
            ("full_erasure", "boolean", is("true")),
        ],
    })
}

/// §3.3: at most so many hours; what nobody has received yet may wait for longer than an archive is kept.
fn retention(keep: Option<Duration>) -> String {
    keep.map_or_else(
        || "infinite".to_owned(),
        |keep| {
            let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
            keep_ms.max(WAITING_MS_MAX).div_ceil(HOUR_MS).to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_in_hours_and_never_below_what_waits() {
        let days = |days: u64| Some(Duration::from_hours(24 * days));
        let rows = [
            (None, "infinite"),
            (days(365), "8760"),
            (days(61), "1464"),
            (days(60), "1440"),
            (days(0), "1440"),
            (Some(Duration::from_secs(100 * 86_400 + 1)), "2401"),
        ];
        for (keep, expected) in rows {
            assert_eq!(retention(keep), expected, "{keep:?}");
        }
    }
}
