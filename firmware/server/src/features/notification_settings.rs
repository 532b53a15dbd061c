//! XEP-0492: Chat notification settings. They are among the `<extensions/>` of a bookmark (XEP-0402), which
//! `bookmarks.rs` keeps whole; here they are read, for whoever decides whether a device is to ring.
//!
//! State: none.

use crate::feature::{Feature, Spec};
use xmpp::Element;

/// §6.1.
const NS: &str = "urn:xmpp:notification-settings:1";
/// XEP-0402 §2.
const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(492, "0.2.0", "Chat notification settings"),
    ..Feature::NONE
};

/// What of a chat a device wants to be told (§2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notify {
    Always,
    OnMention,
    Never,
}

/// What a bookmark, or `<notify/>` itself, says to a client of this identity (XEP-0030 §3.1: category and
/// type, `client` and `phone` for one). `None` where it says nothing: then it is always for people and
/// private groups, and on mention for public ones (§3).
pub(crate) fn setting(of: &Element, identity: (&str, &str)) -> Option<Notify> {
    let notify = if of.is(NS, "notify") {
        Some(of)
    } else {
        let extensions = of.child(BOOKMARKS, "extensions");
        extensions.and_then(|extensions| extensions.child(NS, "notify"))
    };
    let mut said: Option<(u8, Notify)> = None;
    for element in notify?.elements().filter(|element| element.ns == NS) {
        let what = match element.name.as_str() {
            "always" => Notify::Always,
            "on-mention" => Notify::OnMention,
            "never" => Notify::Never,
            _ => continue,
        };
        let Some(nearness) = nearness(element, identity) else {
            continue;
        };
        // Two that are equally near are a mistake (§3): the first one counts.
        if said.is_none_or(|(known, _)| nearness > known) {
            said = Some((nearness, what));
        }
    }
    said.map(|(_, what)| what)
}

/// §3: how closely a setting is meant for an identity; `None` where it is for others. A type without a
/// category, which §2.2 forbids, is for nobody.
fn nearness(element: &Element, (category, type_): (&str, &str)) -> Option<u8> {
    let asked = |name| element.attr(name);
    match (asked("identity-category"), asked("identity-type")) {
        (Some(c), Some(t)) => (c == category && t == type_).then_some(2),
        (Some(c), None) => (c == category).then_some(1),
        (None, None) => Some(0),
        (None, Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_setting_counts() {
        let by_identity = "<never identity-category='client' identity-type='pc'/>\
             <on-mention identity-category='client' identity-type='phone'/>\
             <on-mention identity-category='gateway'/><always/>";
        for (settings, identity, expected) in [
            ("<never/>", ("client", "phone"), Some(Notify::Never)),
            ("", ("client", "phone"), None),
            (by_identity, ("client", "phone"), Some(Notify::OnMention)),
            (by_identity, ("client", "pc"), Some(Notify::Never)),
            (by_identity, ("client", "web"), Some(Notify::Always)),
            (by_identity, ("gateway", "sms"), Some(Notify::OnMention)),
            (
                "<always/><never identity-category='client'/>",
                ("client", "phone"),
                Some(Notify::Never),
            ),
            ("<never identity-type='phone'/>", ("client", "phone"), None),
            ("<always/><never/>", ("client", "pc"), Some(Notify::Always)),
            ("<loudly/>", ("client", "pc"), None),
            ("<never xmlns='urn:example:n'/>", ("client", "pc"), None),
        ] {
            let notify = format!("<notify xmlns='{NS}'>{settings}</notify>");
            let bookmark = format!(
                "<conference xmlns='{BOOKMARKS}'><nick>J</nick><extensions>{notify}</extensions></conference>"
            );
            for xml in [notify, bookmark] {
                let element = Element::parse(&xml, "").unwrap();
                assert_eq!(setting(&element, identity), expected, "{xml}");
            }
        }
        let bare = Element::new(BOOKMARKS, "conference");
        assert_eq!(setting(&bare, ("client", "phone")), None);
    }
}
