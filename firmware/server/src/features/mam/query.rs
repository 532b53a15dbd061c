//! What a query asks for (XEP-0313 §4.1, §4.3): its form and its page, read at the door.

use super::NS;
use crate::{
    archive::{Query, Start},
    limits::{
        PAGE_MESSAGES_DEFAULT, PAGE_MESSAGES_MAX, QUERY_ID_BYTES_MAX, QUERY_IDS_MAX,
        SEARCH_BYTES_MAX, SEARCH_WORDS_MAX,
    },
};
use xmpp::{
    Element, Jid, StanzaError, datetime,
    form::{self, FieldType, Form, Writer},
    rsm,
};

/// XEP-0431 §3.1.
const FULLTEXT: &str = "{urn:xmpp:fulltext:0}fulltext";

/// A query that was understood.
pub(super) struct Asked {
    pub(super) query: Query,
    pub(super) queryid: Option<String>,
    pub(super) flipped: bool,
}

/// §4.1.5: the form, with every field that is understood.
pub(super) fn form() -> String {
    const OPEN: &str = "<validate xmlns='http://jabber.org/protocol/xdata-validate' \
         datatype='xs:string'><open/></validate>";
    let form = Writer::form(NS)
        .field(FieldType::JidSingle, "with", &[])
        .field(FieldType::TextSingle, "start", &[])
        .field(FieldType::TextSingle, "end", &[])
        .field(FieldType::TextSingle, "before-id", &[])
        .field(FieldType::TextSingle, "after-id", &[])
        .field_with(FieldType::ListMulti, "ids", &[], OPEN)
        .field(FieldType::TextSingle, FULLTEXT, &[])
        .finish();
    format!("<query xmlns='{NS}'>{form}</query>")
}

impl Asked {
    /// Reads `<query/>`; `position` is what an archive id names. Errors: `feature-not-implemented` for a
    /// field that is not in the form (§4.1.5) and for what nobody here serves, `item-not-found` for an id
    /// that names nothing (§4.1.3, §4.3.2), `bad-request` for everything malformed.
    pub(super) fn read(
        query: &Element,
        position: impl Fn(&str) -> Option<u64>,
    ) -> Result<Asked, StanzaError> {
        if query.attr("node").is_some() {
            return Err(StanzaError::FEATURE_NOT_IMPLEMENTED); // XEP-0442
        }
        let queryid = query.attr("queryid").map(str::to_owned);
        if queryid
            .as_ref()
            .is_some_and(|id| id.len() > QUERY_ID_BYTES_MAX)
        {
            return Err(StanzaError::BAD_REQUEST);
        }
        let set = query.child(rsm::NS, "set").map(rsm::Request::read);
        let set = set.transpose()?.unwrap_or_default();
        let mut read = Fields {
            position: &position,
            query: nothing_special(),
        };
        if let Some(x) = query.child(form::NS, "x") {
            read.form(&Form::submitted(x)?)?;
        }
        let mut asked = read.query;
        asked.max = set.max.map_or(PAGE_MESSAGES_DEFAULT, |max| max as usize);
        asked.max = asked.max.min(PAGE_MESSAGES_MAX);
        let named = |id: &str| position(id).ok_or(StanzaError::ITEM_NOT_FOUND);
        asked.page = match &set.page {
            // A search is for what was said lately.
            rsm::Page::First if !asked.words.is_empty() => Start::Last,
            rsm::Page::First => Start::First,
            rsm::Page::Last => Start::Last,
            rsm::Page::After(id) => Start::After(named(id)?),
            rsm::Page::Before(id) => Start::Before(named(id)?),
            rsm::Page::Index(_) => return Err(StanzaError::FEATURE_NOT_IMPLEMENTED),
        };
        Ok(Asked {
            query: asked,
            queryid,
            flipped: query.child(NS, "flip-page").is_some(),
        })
    }
}

/// Everything, from the first on.
pub(super) fn nothing_special() -> Query {
    Query {
        with: None,
        earliest: 0,
        latest: u64::MAX,
        after: None,
        before: None,
        positions: None,
        said_by: None,
        words: Vec::new(),
        max: PAGE_MESSAGES_DEFAULT,
        page: Start::First,
    }
}

/// The fields of the form, one after the other.
struct Fields<'p> {
    position: &'p dyn Fn(&str) -> Option<u64>,
    query: Query,
}

impl Fields<'_> {
    fn form(&mut self, form: &Form) -> Result<(), StanzaError> {
        if form.form_type() != Some(NS) {
            return Err(StanzaError::BAD_REQUEST);
        }
        // An unknown field is refused, whatever else is wrong: the client is to ask for the form.
        const KNOWN: [&str; 7] = [
            "with",
            "start",
            "end",
            "before-id",
            "after-id",
            "ids",
            FULLTEXT,
        ];
        if form.fields().any(|(var, _)| !KNOWN.contains(&var)) {
            return Err(StanzaError::FEATURE_NOT_IMPLEMENTED);
        }
        for (var, values) in form.fields() {
            match (var, values) {
                (_, []) => {}
                ("ids", ids) => self.ids(ids)?,
                (var, [value]) => self.single(var, value)?,
                _ => return Err(StanzaError::BAD_REQUEST),
            }
        }
        Ok(())
    }

    fn single(&mut self, var: &str, value: &str) -> Result<(), StanzaError> {
        let query = &mut self.query;
        let moment = || datetime::parse(value.trim()).ok_or(StanzaError::BAD_REQUEST);
        let position = || (self.position)(value).ok_or(StanzaError::ITEM_NOT_FOUND);
        match var {
            "with" => {
                let with = Jid::parse(value.trim()).map_err(|_| StanzaError::BAD_REQUEST)?;
                query.with = Some(with);
            }
            "start" => query.earliest = moment()?,
            "end" => query.latest = moment()?,
            "before-id" => query.before = Some(position()?),
            "after-id" => query.after = Some(position()?),
            _ => query.words = words(value)?,
        }
        Ok(())
    }

    fn ids(&mut self, ids: &[String]) -> Result<(), StanzaError> {
        if ids.len() > QUERY_IDS_MAX {
            return Err(StanzaError::POLICY_VIOLATION.with_text("fewer ids at a time, please"));
        }
        let positions = ids.iter().map(|id| (self.position)(id));
        let positions: Option<Vec<u64>> = positions.collect();
        self.query.positions = Some(positions.ok_or(StanzaError::ITEM_NOT_FOUND)?);
        Ok(())
    }
}

/// What is searched for, in small letters; none where the text is empty (XEP-0431 §2.2).
fn words(text: &str) -> Result<Vec<String>, StanzaError> {
    let words: Vec<String> = text
        .split_whitespace()
        .take(SEARCH_WORDS_MAX + 1)
        .map(str::to_lowercase)
        .collect();
    if words.len() > SEARCH_WORDS_MAX || text.len() > SEARCH_BYTES_MAX {
        return Err(StanzaError::POLICY_VIOLATION.with_text("fewer words, please"));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the inside of a query asks for, or the condition of the refusal. The id `p7` names position 7.
    fn read(inside: &str) -> String {
        let query = format!("<query xmlns='{NS}' queryid='q'>{inside}</query>");
        let position = |id: &str| id.strip_prefix('p')?.parse().ok();
        match Asked::read(&Element::parse(&query, "jabber:client").unwrap(), position) {
            Ok(Asked { query, .. }) => {
                let plain = format!("{:?}", nothing_special());
                let asked = format!("{query:?}");
                let common = plain
                    .bytes()
                    .zip(asked.bytes())
                    .take_while(|(a, b)| a == b)
                    .count();
                if plain == asked {
                    "everything".into()
                } else {
                    asked[common..].to_owned()
                }
            }
            Err(error) => error.condition.to_owned(),
        }
    }

    fn with_form(fields: &str) -> String {
        read(&format!(
            "<x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>{NS}</value></field>{fields}</x>"
        ))
    }

    fn field(var: &str, value: &str) -> String {
        with_form(&format!(
            "<field var='{var}'><value>{value}</value></field>"
        ))
    }

    #[test]
    fn fields_of_the_form() {
        for (fields, expected) in [
            ("", "everything"),
            ("<field var='with'/>", "everything"),
            ("<field var='what'/>", "feature-not-implemented"),
            (
                "<field var='include-groupchat'><value>1</value></field>",
                "feature-not-implemented",
            ),
            (
                "<field var='start'><value>a</value></field><field var='x'/>",
                "feature-not-implemented",
            ),
            (
                "<field var='start'><value>2010-06-07T00:00:00Z</value><value>2</value></field>",
                "bad-request",
            ),
        ] {
            assert_eq!(with_form(fields), expected, "{fields}");
        }
        for (var, value, expected) in [
            ("with", "@", "bad-request"),
            ("start", "yesterday", "bad-request"),
            ("start", "", "bad-request"),
            ("end", "2010-06-07", "bad-request"),
            ("before-id", "7", "item-not-found"),
            ("after-id", "", "item-not-found"),
            ("ids", "x", "item-not-found"),
            (FULLTEXT, " ", "everything"),
        ] {
            assert_eq!(field(var, value), expected, "{var}={value}");
        }
        for (var, value, expected) in [
            ("with", "a@b", "with: Some("),
            ("start", "1970-01-01T00:00:07Z", "7000, latest"),
            ("end", "1970-01-01T00:00:07Z", "7000, after"),
            ("after-id", "p7", "Some(7), before: None"),
            ("before-id", "p7", "Some(7), positions"),
            ("ids", "p7", "Some([7]), said_by"),
            (
                FULLTEXT,
                "Árvíz  TŰRŐ",
                "\"árvíz\", \"tűrő\"], max: 50, page: Last",
            ),
        ] {
            let asked = format!(", {}", field(var, value));
            let expected = expected.strip_prefix("with: ").unwrap_or(expected);
            assert!(asked.contains(expected), "{var}={value}: {asked}");
        }
    }

    #[test]
    fn pages() {
        let set = |inside: &str| read(&format!("<set xmlns='{}'>{inside}</set>", rsm::NS));
        for (inside, expected) in [
            ("", "everything"),
            ("<max>50</max>", "everything"),
            ("<max>x</max>", "bad-request"),
            ("<index>0</index>", "feature-not-implemented"),
            ("<after>x</after>", "item-not-found"),
            ("<before>x</before>", "item-not-found"),
            ("<before/>", "Last }"),
            ("<before>p7</before>", "Before(7) }"),
            ("<after>p7</after>", "After(7) }"),
            ("<max>1000</max>", "250, page: First }"),
            ("<max>0</max>", "0, page: First }"),
        ] {
            assert!(set(inside).ends_with(expected), "{inside}: {}", set(inside));
        }
    }

    #[test]
    fn what_is_no_query() {
        let other_kind = "<field var='FORM_TYPE'><value>other</value></field>";
        for (inside, expected) in [
            (
                "<x xmlns='jabber:x:data' type='submit'/>".to_owned(),
                "bad-request",
            ),
            (
                format!("<x xmlns='jabber:x:data' type='submit'>{other_kind}</x>"),
                "bad-request",
            ),
            (
                "<x xmlns='jabber:x:data' type='form'/>".to_owned(),
                "bad-request",
            ),
        ] {
            assert_eq!(read(&inside), expected, "{inside}");
        }
        let many = "<value>p1</value>".repeat(QUERY_IDS_MAX + 1);
        assert_eq!(
            with_form(&format!("<field var='ids'>{many}</field>")),
            "policy-violation"
        );
        assert_eq!(
            field(FULLTEXT, &"a ".repeat(SEARCH_WORDS_MAX + 1)),
            "policy-violation"
        );
        assert_eq!(
            field(FULLTEXT, &"a".repeat(SEARCH_BYTES_MAX + 1)),
            "policy-violation"
        );
    }
}
