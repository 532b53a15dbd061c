//! XEP-0377: Blocking Command Reports. Whoever blocks somebody may tell the administrator why.
//!
//! State: the reports of an account, oldest first, in memory while the account is loaded and in table
//! `reporting.report`. Nothing is passed on to anybody: what the reporter allows (§5) is kept for the
//! administrator to decide.

use crate::{
    account::Cx,
    accounts,
    feature::{Feature, On, Spec},
    limits::{
        REPORT_ID_BYTES_MAX, REPORT_IDS_MAX, REPORT_REASON_BYTES_MAX, REPORT_TEXT_BYTES_MAX,
        REPORTS_ALL_BYTES_MAX, REPORTS_ALL_MAX, REPORTS_BYTES_MAX, REPORTS_MAX,
    },
    server::Server,
    world::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use store::{Record, Snapshot, Table, Urgency, Write};
use xmpp::{Element, Jid};

const NS: &str = "urn:xmpp:reporting:1";
/// XEP-0359.
const STANZA_IDS: &str = "urn:xmpp:sid:0";

/// By account; no row where nothing was reported.
pub(crate) const REPORTS: Table<u32, Reports> = Table::per_account("reporting.report", 1);

pub(super) const FEATURE: Feature = Feature {
    spec: Spec::Xep(377, "0.4.1", "Blocking Command Reports"),
    disco: &[(On::Server, NS)],
    ..Feature::NONE
};

/// What a user reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub at: Timestamp,
    /// Who is reported, and was blocked.
    pub jid: Jid,
    /// `urn:xmpp:reporting:spam`, `urn:xmpp:reporting:abuse`, or what else clients may know.
    pub reason: String,
    /// The reporter's own words, or nothing.
    pub text: String,
    /// Messages it is about: who gave them an id, and the id (XEP-0359).
    pub stanza_ids: Vec<(String, String)>,
    /// Whether the reporter lets the report go to the server of the reported (§5).
    pub may_go_to_origin: bool,
    /// Whether the reporter lets it go to those who collect such reports (§5).
    pub may_go_to_third_parties: bool,
}

impl Report {
    /// The report in an `<item/>` of a block. `None` where there is none, or none with a reason (§4): the
    /// block counts all the same (§6).
    fn of(item: &Element, now: Timestamp) -> Option<Report> {
        let report = item.child(NS, "report")?;
        let reason = report
            .attr("reason")
            .filter(|reason| !reason.is_empty() && reason.len() <= REPORT_REASON_BYTES_MAX)?;
        let text = report
            .child(NS, "text")
            .map(Element::text)
            .unwrap_or_default();
        let ids = report
            .elements()
            .filter(|element| element.is(STANZA_IDS, "stanza-id"));
        let ids = ids.filter_map(|id| Some((id.attr("by")?.to_owned(), id.attr("id")?.to_owned())));
        Some(Report {
            at: now,
            jid: Jid::parse(item.attr("jid")?).ok()?,
            reason: reason.to_owned(),
            text: beginning(text.trim()).to_owned(),
            stanza_ids: ids
                .filter(|(by, id)| by.len() + id.len() <= REPORT_ID_BYTES_MAX)
                .take(REPORT_IDS_MAX)
                .collect(),
            may_go_to_origin: report.child(NS, "report-origin").is_some(),
            may_go_to_third_parties: report.child(NS, "third-party").is_some(),
        })
    }

    fn bytes(&self) -> usize {
        let ids = self.stanza_ids.iter().map(|(by, id)| by.len() + id.len());
        self.jid.as_str().len() + self.reason.len() + self.text.len() + ids.sum::<usize>()
    }
}

/// As much of a text as is kept, in whole characters.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(REPORT_TEXT_BYTES_MAX)]
}

/// The reports of one account, oldest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reports(pub(crate) Vec<Report>);

impl Record for Reports {}

impl Reports {
    pub(super) fn load(snapshot: &Snapshot, account: u32) -> Result<Reports, store::Error> {
        Ok(REPORTS.get(snapshot, &account)?.unwrap_or_default())
    }

    /// The oldest make room.
    fn add(&mut self, report: Report) {
        self.0.push(report);
        let mut bytes: usize = self.0.iter().map(Report::bytes).sum();
        let too_many = self.0.len().saturating_sub(REPORTS_MAX);
        let mut over = 0;
        for old in &self.0 {
            if over >= too_many && bytes <= REPORTS_BYTES_MAX {
                break;
            }
            bytes -= old.bytes();
            over += 1;
        }
        self.0.drain(..over);
    }

    /// Without those up to then.
    fn since(&self, then: Timestamp) -> Reports {
        let kept = self.0.iter().filter(|report| report.at > then);
        Reports(kept.cloned().collect())
    }

    /// The row of an account: none where nothing is left.
    fn write(&self, account: u32) -> Write {
        if self.0.is_empty() {
            REPORTS.remove(&account)
        } else {
            REPORTS.put(&account, self)
        }
    }
}

/// Up to when all accounts' reports have to go, by their times and bytes; `None` where all may stay.
fn too_old(mut all: Vec<(Timestamp, usize)>) -> Option<Timestamp> {
    all.sort_unstable_by_key(|(at, _)| std::cmp::Reverse(*at));
    let mut bytes = 0;
    let mut over = all.iter().enumerate().filter(|(index, (_, more))| {
        bytes += more;
        *index >= REPORTS_ALL_MAX || bytes > REPORTS_ALL_BYTES_MAX
    });
    over.next().map(|(_, (at, _))| *at)
}

impl Server {
    /// Lets go of the oldest reports where all accounts together have too many. Blocks.
    pub(crate) fn sweep_reports(self: &Arc<Self>) -> Result<(), store::Error> {
        let snapshot = self.store().snapshot()?;
        let rows: Result<Vec<(u32, Reports)>, _> = REPORTS.range(&snapshot, ..)?.collect();
        let rows = rows?;
        let reports = rows.iter().flat_map(|(_, reports)| &reports.0);
        let all = reports.map(|report| (report.at, report.bytes())).collect();
        let Some(then) = too_old(all) else {
            return Ok(());
        };
        for (localpart, id) in accounts::all(&snapshot)? {
            let Some((_, reports)) = rows.iter().find(|(account, _)| *account == id) else {
                continue;
            };
            if reports.0.iter().all(|report| report.at > then) {
                continue;
            }
            match self.read_account(&localpart)? {
                Some(account) => self.at(&account, 0, |cx| {
                    cx.state.memory.reports = cx.state.memory.reports.since(then);
                    let write = cx.state.memory.reports.write(cx.id());
                    cx.write_soon(write);
                }),
                // It may not sign in, and nobody changes its reports.
                None => {
                    self.before_loading(&localpart, || {
                        let write = reports.since(then).write(id);
                        self.store().queue(vec![write], Urgency::Idle);
                    });
                }
            }
        }
        Ok(())
    }
}

/// Keeps what the items of a `<block/>` that was carried out report (§6).
pub(super) fn keep(cx: &mut Cx<'_>, block: &Element) {
    let now = cx.now();
    let mut reports = block
        .elements()
        .filter_map(|item| Report::of(item, now))
        .peekable();
    if reports.peek().is_none() {
        return;
    }
    for report in reports {
        cx.state.memory.reports.add(report);
    }
    let write = REPORTS.put(&cx.id(), &cx.state.memory.reports);
    cx.write(write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use store::limits::SOON_SECONDS_MAX;

    fn report(item: &str) -> Option<Report> {
        let item = format!("<item xmlns='urn:xmpp:blocking' jid='r@far.example'>{item}</item>");
        Report::of(&Element::parse(&item, "").unwrap(), 7)
    }

    #[test]
    fn a_report_is_read_as_far_as_it_is_reasonable() {
        let head = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>";
        let id = "<stanza-id xmlns='urn:xmpp:sid:0' by='j@home.example' id='i'/>";
        let whole = report(&format!(
            "{head}{id}<text> Buy! </text><report-origin/></report>"
        ));
        let whole = whole.unwrap();
        assert_eq!((whole.at, whole.jid.as_str()), (7, "r@far.example"));
        assert_eq!(
            (&*whole.reason, &*whole.text),
            ("urn:xmpp:reporting:spam", "Buy!")
        );
        assert_eq!(
            whole.stanza_ids,
            [("j@home.example".to_owned(), "i".to_owned())]
        );
        assert!(whole.may_go_to_origin && !whole.may_go_to_third_parties);
        for nothing in [
            "",
            "<report xmlns='urn:xmpp:reporting:1'/>",
            "<report xmlns='urn:xmpp:reporting:1' reason=''/>",
            "<report xmlns='urn:example' reason='urn:xmpp:reporting:spam'/>",
        ] {
            assert_eq!(report(nothing), None, "{nothing}");
        }
        let long = "é".repeat(REPORT_TEXT_BYTES_MAX);
        let many = id.repeat(REPORT_IDS_MAX + 1);
        let large = report(&format!("{head}{many}<text>{long}</text></report>")).unwrap();
        assert_eq!(large.text.len(), REPORT_TEXT_BYTES_MAX);
        assert_eq!(large.stanza_ids.len(), REPORT_IDS_MAX);
    }

    #[test]
    fn the_oldest_make_room() {
        let one = report("<report xmlns='urn:xmpp:reporting:1' reason='r'/>").unwrap();
        let mut reports = Reports::default();
        for at in 0..=REPORTS_MAX as u64 {
            reports.add(Report { at, ..one.clone() });
        }
        assert_eq!((reports.0.len(), reports.0[0].at), (REPORTS_MAX, 1));
        let text = "x".repeat(REPORTS_BYTES_MAX / 2);
        for at in [1_000, 1_001] {
            let text = text.clone();
            reports.add(Report {
                at,
                text,
                ..one.clone()
            });
        }
        let bytes: usize = reports.0.iter().map(Report::bytes).sum();
        assert!(bytes <= REPORTS_BYTES_MAX);
        assert_eq!((reports.0.len(), reports.0[0].at), (1, 1_001));
    }

    #[test]
    fn the_administrator_reads_what_was_reported_and_only_with_a_block() {
        let home = Fixture::new(&["juliet", "nurse"]);
        let juliet = home.online("juliet", "balcony");
        let block = |jid: &str| {
            format!(
                "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{jid}'>\
                 <report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:abuse'/>\
                 </item></block></iq>"
            )
        };
        home.send(&juliet, &block("@far.example"));
        home.send(&juliet, &block("tybalt@far.example"));
        home.write();
        let snapshot = home.server.store().snapshot().unwrap();
        let reports = crate::accounts::reports(&snapshot).unwrap();
        let reports: Vec<_> = reports
            .iter()
            .map(|(who, report)| (who.as_str(), report.jid.as_str()))
            .collect();
        assert_eq!(reports, [("juliet", "tybalt@far.example")]);
    }

    #[test]
    fn of_all_reports_the_oldest_go_first() {
        let names: Vec<String> = (0..11).map(|n| format!("a{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let home = Fixture::new(&names);
        let head = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>";
        let one = report(head).unwrap();
        let everybody = names.len() as u64;
        for (account, n) in (1..).zip(0..everybody) {
            let at = (0..REPORTS_MAX as u64).map(|turn| turn * everybody + n);
            let reports = at.map(|at| Report { at, ..one.clone() }).collect();
            let write = REPORTS.put(&account, &Reports(reports));
            home.server.store().queue(vec![write], Urgency::Now);
        }
        home.write();
        let closed = accounts::disable(&home.server.store().snapshot().unwrap(), "a1").unwrap();
        home.server.store().queue(closed, Urgency::Now);
        home.write();
        let online = home.bind("a0", "balcony");
        home.tick();
        home.write();
        home.hands.pass(SOON_SECONDS_MAX * 1_000 + 1);
        home.write();
        let left = accounts::reports(&home.server.store().snapshot().unwrap()).unwrap();
        let oldest = left.iter().map(|(_, report)| report.at).min();
        let gone = names.len() * REPORTS_MAX - REPORTS_ALL_MAX;
        assert_eq!((left.len(), oldest), (REPORTS_ALL_MAX, Some(gone as u64)));
        let in_memory = online.account.lock().memory.reports.0.len();
        let on_disk = left.iter().filter(|(who, _)| who == "a0").count();
        assert_eq!(in_memory, on_disk);
    }

    #[test]
    fn many_bytes_are_too_many() {
        assert_eq!(too_old(Vec::new()), None);
        let at = |bytes| vec![(3, bytes), (1, 1), (2, REPORTS_ALL_BYTES_MAX - 1)];
        assert_eq!((too_old(at(0)), too_old(at(1))), (None, Some(1)));
        assert_eq!(too_old(at(2)), Some(2));
    }
}
