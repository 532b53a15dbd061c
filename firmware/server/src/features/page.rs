//! Which part of a long list is asked for, and how the answer says which one it is (XEP-0059,
//! XEP-0060 §6.5.4, XEP-0045 §6.3).

use crate::limits::{LIST_BYTES_MAX, LIST_ITEMS_MAX};
use std::ops::Range;
use xmpp::{Element, StanzaError, rsm};

/// What is asked for.
pub(super) struct Asked {
    page: rsm::Page,
    max: Option<usize>,
    by_set: bool,
    /// Whoever asks for no more than this knows that it may not be all.
    expects_part: bool,
}

impl Asked {
    /// What `<set/>` says; without one as much as there may be, from there on.
    pub(super) fn read(set: Option<&Element>, otherwise: rsm::Page) -> Result<Asked, StanzaError> {
        let set = set.filter(|set| set.is(rsm::NS, "set"));
        let set = set.map(rsm::Request::read).transpose()?;
        Ok(Asked {
            max: set.as_ref().and_then(|set| set.max).map(|max| max as usize),
            by_set: set.is_some(),
            page: set.map_or(otherwise, |set| set.page),
            expects_part: false,
        })
    }

    /// §6.5.7: `max_items`, which without a page means the newest.
    pub(super) fn newest(self, newest: Option<usize>) -> Asked {
        match newest {
            Some(_) if self.by_set => Asked {
                max: self.max.or(newest),
                ..self
            },
            Some(count) => Asked {
                page: rsm::Page::Last,
                max: newest,
                expects_part: count <= LIST_ITEMS_MAX,
                ..self
            },
            None => self,
        }
    }

    /// The page of a list of that length. `item-not-found` where it is to be beside what is not there
    /// (XEP-0059 §2.2).
    pub(super) fn of(
        self,
        count: usize,
        find: impl Fn(&str) -> Option<usize>,
    ) -> Result<Page, StanzaError> {
        let max = self.max.unwrap_or(count).min(LIST_ITEMS_MAX);
        let place = |id: &str| find(id).ok_or(StanzaError::ITEM_NOT_FOUND);
        let from = |start: usize| start.min(count)..start.saturating_add(max).min(count);
        let upto = |end: usize| end.saturating_sub(max)..end;
        let range = match &self.page {
            rsm::Page::First => from(0),
            rsm::Page::After(id) => from(place(id)? + 1),
            rsm::Page::Index(index) => from(*index as usize),
            rsm::Page::Before(id) => upto(place(id)?),
            rsm::Page::Last => upto(count),
        };
        Ok(Page {
            backwards: matches!(self.page, rsm::Page::Before(_) | rsm::Page::Last),
            range,
            count,
            asked: self.by_set,
            expects_part: self.expects_part,
        })
    }
}

/// A page.
#[derive(Clone)]
pub(super) struct Page {
    /// Of the whole list.
    pub(super) range: Range<usize>,
    /// Read from the end: what does not fit into the answer is at the beginning.
    backwards: bool,
    count: usize,
    asked: bool,
    expects_part: bool,
}

impl Page {
    /// As many of what is on the page as fit into an answer, in the order of the list, and how many do not.
    /// `read` is given places on the page and gives nothing where there is nothing any more.
    pub(super) fn fill<T, E>(
        &self,
        read: impl Fn(usize) -> Result<Option<T>, E>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<(Vec<T>, usize), E> {
        let (mut taken, mut sum, mut left_out) = (Vec::new(), 0, 0);
        let length = self.range.len();
        for number in 0..length {
            let place = if self.backwards {
                length - 1 - number
            } else {
                number
            };
            let Some(item) = read(place)? else {
                continue; // it was removed a moment ago
            };
            sum += bytes(&item);
            if sum > LIST_BYTES_MAX && !taken.is_empty() {
                left_out = length - number;
                break;
            }
            taken.push(item);
        }
        if self.backwards {
            taken.reverse();
        }
        Ok((taken, left_out))
    }

    /// `<set/>`: whoever did not ask for a page is told where they got one.
    pub(super) fn set(&self, ends: Option<(String, String)>, left_out: usize) -> String {
        let whole = self.range.len() - left_out == self.count;
        if !self.asked && (whole || self.expects_part && left_out == 0) {
            return String::new();
        }
        let skipped = if self.backwards { left_out } else { 0 };
        let answer = rsm::Answer {
            ends,
            index: Some((self.range.start + skipped) as u64),
            count: Some(self.count as u64),
        };
        answer.to_xml()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_gets_less_than_all_is_told() {
        let many = LIST_ITEMS_MAX + 5;
        for (otherwise, newest, count, range, told) in [
            (rsm::Page::First, None, 3, 0..3, false),
            (rsm::Page::First, None, many, 0..LIST_ITEMS_MAX, true),
            (rsm::Page::Last, None, many, 5..many, true),
            (rsm::Page::First, Some(2), 3, 1..3, false),
            (rsm::Page::First, Some(many), many, 5..many, true),
        ] {
            let asked = Asked::read(None, otherwise).unwrap().newest(newest);
            let page = asked.of(count, |_| None).unwrap();
            assert_eq!(page.range, range, "{newest:?} {count}");
            assert_eq!(!page.set(None, 0).is_empty(), told, "{newest:?} {count}");
        }
    }

    #[test]
    fn what_does_not_fit_is_at_the_far_end() {
        let half = |_: &usize| LIST_BYTES_MAX / 2;
        for (otherwise, taken) in [(rsm::Page::First, [0, 1]), (rsm::Page::Last, [1, 2])] {
            let page = Asked::read(None, otherwise)
                .unwrap()
                .of(3, |_| None)
                .unwrap();
            let read = |place| Ok::<_, StanzaError>(Some(place));
            assert_eq!(page.fill(read, half), Ok((taken.to_vec(), 1)));
            let told = page.set(Some(("a".into(), "b".into())), 1);
            assert!(told.contains(&format!("index='{}'", taken[0])), "{told}");
        }
    }
}
