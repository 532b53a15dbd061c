//! The end of a room by a word (XEP-0045 §10.9).

use super::{
    announce::{self, News, Told},
    leave,
};
use crate::{account::Cx, room::Affiliation};
use xmpp::Jid;

/// Everybody in it is told that it is no more, with all sessions.
pub(crate) fn destroy(cx: &mut Cx<'_>) {
    let Some(room) = cx.room_mut() else { return };
    let occupants = std::mem::take(&mut room.occupants);
    let news = News {
        type_: "unavailable",
        further: "<destroy/>",
        ..News::default()
    };
    for occupant in occupants.iter() {
        let Some(told) = cx.room().and_then(|room| Told::of(room, occupant)) else {
            continue;
        };
        // §10.9, example 202: of what they were, nothing is left.
        let told = Told {
            affiliation: Affiliation::None,
            presence: "".into(),
            ..told.gone()
        };
        let seats: Vec<Jid> = occupant.seats.iter().map(|seat| seat.jid.clone()).collect();
        announce::to_itself(cx, &told, &news, &seats);
    }
    leave::end(cx);
}
