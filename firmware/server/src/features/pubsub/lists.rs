//! Lists of subscriptions and affiliations, in pages (XEP-0059). Who stands in them is for others to say, and
//! so may be how long they are.

use super::request::Request;
use crate::features::page::Asked;
use std::convert::Infallible;
use xmpp::{StanzaError, rsm};

/// The part of a list that is asked for, and the `<set/>` that says which it is; empty where it is all.
/// `entry` writes one, and gives what it is known by in pages.
pub(super) fn page<T>(
    request: &Request,
    list: &[T],
    entry: impl Fn(&mut String, &T) -> String,
) -> Result<(String, String), StanzaError> {
    let asked = Asked::read(request.beside("set"), rsm::Page::First)?;
    let known_as = |one: &T| entry(&mut String::new(), one);
    let page = asked.of(list.len(), |id| {
        list.iter().position(|one| known_as(one) == id)
    })?;
    let read = |place: usize| {
        let mut xml = String::new();
        let id = entry(&mut xml, &list[page.range.start + place]);
        Ok::<_, Infallible>(Some((id, xml)))
    };
    let Ok((taken, left_out)) = page.fill(read, |(_, xml)| xml.len());
    let ends = taken.first().zip(taken.last());
    let ends = ends.map(|((first, _), (last, _))| (first.clone(), last.clone()));
    let set = page.set(ends, left_out);
    Ok((taken.into_iter().map(|(_, xml)| xml).collect(), set))
}
