//! A device reads the archive, page by page (XEP-0313 §4, XEP-0059).

use super::{
    archives::Row,
    device::Device,
    heard::{ARCHIVE, Copy},
    ledger::Ledger,
    session::Sent,
};
use xmpp::Element;

/// Messages of a page, and for one who reads everything.
const PAGE: usize = 4;
const LARGE_PAGE: usize = 50;

/// What is being asked.
#[derive(Debug)]
pub(super) struct Query {
    /// Of the request, and of its results.
    id: String,
    after: Option<String>,
    rows: Vec<Row>,
}

impl Device {
    /// Asks for a page of what is behind that message, or of the beginning.
    pub(super) fn ask_archive(&mut self, after: Option<String>, ledger: &mut Ledger) {
        let id = format!("q{}", ledger.number());
        let behind = after
            .as_ref()
            .map(|after| format!("<after>{after}</after>"));
        let max = self.whole_archive.as_ref().map_or(PAGE, |_| LARGE_PAGE);
        let xml = format!(
            "<iq type='set' id='{id}'><query xmlns='{ARCHIVE}' queryid='{id}'>\
             <set xmlns='http://jabber.org/protocol/rsm'><max>{max}</max>{}</set></query></iq>",
            behind.unwrap_or_default()
        );
        self.query = Some(Query {
            id,
            after,
            rows: Vec::new(),
        });
        self.send(Sent::of(xml), ledger);
    }

    /// A result of a query.
    pub(super) fn query_gives(&mut self, id: &str, copy: &Copy) {
        let query = self.query.as_mut().filter(|query| query.id == id);
        if let (Some(query), Some(id)) = (query, &copy.id) {
            query.rows.push(Row {
                id: id.clone(),
                message: copy.message,
                is_sent: copy.is_sent,
            });
        }
    }

    /// A page is whole: the next one, unless that was the last. What a power cut took is not found, and the
    /// client begins at the beginning.
    pub(super) fn query_is_answered(&mut self, id: &str, answer: &Element, ledger: &mut Ledger) {
        let Some(query) = self.query.take_if(|query| query.id == id) else {
            return;
        };
        let Some(fin) = answer.child(ARCHIVE, "fin") else {
            self.known = None;
            return;
        };
        ledger
            .archives
            .found(self.account, query.after, &query.rows);
        let last = query.rows.last().map(|row| row.id.clone());
        self.known = last.clone().or(self.known.take());
        if let Some(whole) = &mut self.whole_archive {
            whole.extend(query.rows);
        }
        if fin.attr("complete") != Some("true") {
            self.ask_archive(last, ledger);
        } else if let Some(whole) = self.whole_archive.take() {
            ledger.archives.is_whole(self.account, whole);
        }
    }
}
