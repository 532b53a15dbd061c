//! XEP-0059: result set management. Which page of a long answer is asked for, and how the answer says which
//! one it is.

use crate::{Element, StanzaError, compose};

/// The namespace.
pub const NS: &str = "http://jabber.org/protocol/rsm";

/// `<set/>` in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Items wanted at most; 0 asks for the count alone (§2.7).
    pub max: Option<u32>,
    pub page: Page,
}

/// Where the page is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// §2.1: at the beginning.
    #[default]
    First,
    /// §2.2: right behind the item of this id.
    After(String),
    /// §2.3: right before it.
    Before(String),
    /// §2.5: at the end, asked for by an empty `<before/>`.
    Last,
    /// §2.6: from the item of this number on, counted from 0.
    Index(u32),
}

impl Request {
    /// Reads `<set/>`. `bad-request` where a number is none, a child comes twice, or more than one of
    /// `after`, `before` and `index` is there: no specification says what both would mean.
    pub fn read(set: &Element) -> Result<Request, StanzaError> {
        let mut request = Request::default();
        let mut has_page = false;
        for child in set.elements().filter(|child| child.ns == NS) {
            let text = child.text();
            let page = match child.name.as_str() {
                "max" if request.max.is_none() => {
                    request.max = Some(number(&text)?);
                    continue;
                }
                "after" if text.is_empty() => Page::First,
                "after" => Page::After(text),
                "before" if text.is_empty() => Page::Last,
                "before" => Page::Before(text),
                "index" => Page::Index(number(&text)?),
                "max" => return Err(StanzaError::BAD_REQUEST),
                _ => continue,
            };
            if std::mem::replace(&mut has_page, true) {
                return Err(StanzaError::BAD_REQUEST);
            }
            request.page = page;
        }
        Ok(request)
    }
}

fn number(text: &str) -> Result<u32, StanzaError> {
    let digits = text.trim();
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(number) => Ok(number),
        // XEP-0059's schema sets no limit: a very large number means all.
        Err(_) if all_digits => Ok(u32::MAX),
        Err(_) => Err(StanzaError::BAD_REQUEST),
    }
}

/// `<set/>` in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Ids of the first and the last item of the page; `None` where it is empty.
    pub ends: Option<(String, String)>,
    /// How many items of the whole come before the page, where that is known.
    pub index: Option<u64>,
    /// How many there are in the whole, where that is known.
    pub count: Option<u64>,
}

impl Answer {
    /// As XML.
    pub fn to_xml(&self) -> String {
        let mut out = format!("<set xmlns='{NS}'>");
        if let Some((first, last)) = &self.ends {
            out.push_str("<first");
            if let Some(index) = self.index {
                compose::attribute(&mut out, "index", &index.to_string());
            }
            out.push('>');
            compose::escape(&mut out, first);
            out.push_str("</first><last>");
            compose::escape(&mut out, last);
            out.push_str("</last>");
        }
        if let Some(count) = self.count {
            out.push_str(&format!("<count>{count}</count>"));
        }
        out + "</set>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let after = || Page::After("x".into());
        let before = || Page::Before("x".into());
        let rows = [
            ("", Ok((None, Page::First))),
            ("<max>10</max>", Ok((Some(10), Page::First))),
            ("<max> 0 </max>", Ok((Some(0), Page::First))),
            ("<max>99999999999</max>", Ok((Some(u32::MAX), Page::First))),
            ("<max>10</max><after>x</after>", Ok((Some(10), after()))),
            ("<after/>", Ok((None, Page::First))),
            ("<before>x</before>", Ok((None, before()))),
            ("<before/><max>1</max>", Ok((Some(1), Page::Last))),
            ("<index>7</index>", Ok((None, Page::Index(7)))),
            ("<other/><max xmlns='y'>z</max>", Ok((None, Page::First))),
            ("<max/>", Err("bad-request")),
            ("<max>-1</max>", Err("bad-request")),
            ("<max>ten</max>", Err("bad-request")),
            ("<max>1</max><max>1</max>", Err("bad-request")),
            ("<index>x</index>", Err("bad-request")),
            ("<before/><after>x</after>", Err("bad-request")),
            ("<after>x</after><after>y</after>", Err("bad-request")),
            ("<before>x</before><index>1</index>", Err("bad-request")),
        ];
        for (inside, expected) in rows {
            let set = Element::parse(&format!("<set xmlns='{NS}'>{inside}</set>"), "").unwrap();
            let got = Request::read(&set).map(|request| (request.max, request.page));
            assert_eq!(got.map_err(|error| error.condition), expected, "{inside}");
        }
    }

    #[test]
    fn answers_are_written() {
        let ends = || Some(("a<".to_owned(), "b".to_owned()));
        let rows = [
            ((None, None, None), ""),
            ((None, Some(3), Some(7)), "<count>7</count>"),
            ((ends(), None, None), "<first>a&lt;</first><last>b</last>"),
            (
                (ends(), Some(3), Some(7)),
                "<first index='3'>a&lt;</first><last>b</last><count>7</count>",
            ),
        ];
        for ((ends, index, count), inside) in rows {
            let answer = Answer { ends, index, count };
            assert_eq!(answer.to_xml(), format!("<set xmlns='{NS}'>{inside}</set>"));
        }
    }
}
