//! How a story ends: everybody leaves, time passes, one device of each account fetches what waits, and what
//! the server has is compared with what it promised.

use super::{
    contacts::List,
    device::{Device, Habit, bare},
    story::{LONG, RECOVERY, Story},
};
use std::{collections::BTreeSet, time::Duration};

/// Tables of which nothing may be left when nobody waits any more.
const LEFT: [&str; 3] = ["session.state", "session.entry", "room.occupant"];

/// Turns in which anybody has read the whole archive.
const TURNS: usize = 50;

impl Story {
    pub(super) fn end(&mut self) -> Result<(), String> {
        self.log.push("the end begins".into());
        self.disk_is_well();
        self.pass(RECOVERY)?;
        for _ in 0..2 {
            for who in 0..self.devices.len() {
                self.carry_all(who)?;
            }
        }
        self.rooms_agree()?;
        self.everybody_leaves()?;
        // What a disk in trouble did not take out waits as long as anything else, and then is gone.
        self.restart()?;
        self.log.push("a day and an hour pass".into());
        self.pass(LONG)?;
        self.one_fetches_what_waits("last")?;
        self.ledger.nothing_promised_is_lost()?;
        self.nothing_waits_any_more()?;
        self.archives_hold()?;
        self.ledger.rooms.hold()?;
        self.contact_lists_hold()
    }

    fn everybody_leaves(&mut self) -> Result<(), String> {
        for who in 0..self.devices.len() {
            if self.chance.once_in(3) && self.devices[who].is_online() {
                self.goodbye(who)?;
            } else if self.devices[who].line.is_some() {
                self.line_drops(who)?;
            }
        }
        while self.has_dead_lines() {
            self.a_dead_line_is_found_out();
        }
        self.settle()
    }

    /// Logs one in for each account and lets it read and acknowledge everything; says how many messages came.
    fn one_fetches_what_waits(&mut self, resource: &str) -> Result<usize, String> {
        let before = self.ledger.receipts();
        for account in 0..self.accounts {
            let who = self.a_new_device(account, resource)?;
            // What is acknowledged makes room for more.
            let mut came = usize::MAX;
            while came != self.ledger.receipts() {
                came = self.ledger.receipts();
                self.carry_all(who)?;
                self.devices[who].acknowledge();
            }
            self.leaves_for_good(who)?;
        }
        Ok(self.ledger.receipts() - before)
    }

    fn a_new_device(&mut self, account: usize, resource: &str) -> Result<usize, String> {
        let device = Device::new(account, resource, Habit::Counts);
        self.devices.push(device);
        let who = self.devices.len() - 1;
        self.connect(who)?;
        Ok(who)
    }

    fn leaves_for_good(&mut self, who: usize) -> Result<(), String> {
        self.goodbye(who)?;
        self.up(who, usize::MAX);
        self.settle()
    }

    /// Whoever comes next gets nothing, and no session is left on disk.
    fn nothing_waits_any_more(&mut self) -> Result<(), String> {
        self.restart()?;
        let came = self.one_fetches_what_waits("behind")?;
        if came > 0 {
            return Err(format!("{came} messages came once more in the end"));
        }
        self.pass(Duration::from_mins(10))?;
        for table in LEFT {
            let rows = self.rows(table)?;
            if rows > 0 {
                return Err(format!("{rows} rows are left in {table}"));
            }
        }
        Ok(())
    }

    fn rows(&mut self, table: &'static str) -> Result<usize, String> {
        let rows = self.world.rows(table);
        rows.map_err(|problem| problem.to_string())
    }

    /// Reads all archives. What they hold beyond that was kept only until it is delivered, and is gone.
    fn archives_hold(&mut self) -> Result<(), String> {
        for account in 0..self.accounts {
            let who = self.a_new_device(account, "reader")?;
            self.devices[who].whole_archive = Some(Vec::new());
            self.carry_all(who)?;
            self.devices[who].ask_archive(None, &mut self.ledger);
            for _ in 0..TURNS {
                self.carry_all(who)?;
                self.devices[who].acknowledge();
                if self.devices[who].whole_archive.is_none() {
                    break;
                }
            }
            self.leaves_for_good(who)?;
        }
        self.ledger.archives_are_right()?;
        self.pass(Duration::from_mins(10))?;
        let rows = self.world.rows_of_people("archive.entry");
        let rows = rows.map_err(|problem| problem.to_string())?;
        let found = self.ledger.archives.rows();
        if rows == found {
            return Ok(());
        }
        Err(format!(
            "{rows} messages are in archives, and {found} are found there"
        ))
    }

    /// Names that were promised are given, and what a client knows of its list by a version is in that
    /// version (RFC 6121 §2.6).
    fn contact_lists_hold(&mut self) -> Result<(), String> {
        let known = self.devices.iter().filter_map(|device| {
            let list = device.list.clone()?;
            Some((device.account, list))
        });
        let known: BTreeSet<(usize, List)> = known.collect();
        for account in 0..self.accounts {
            let list = self.list_of(account, List::default())?;
            for contact in (0..self.accounts).filter(|contact| *contact != account) {
                self.ledger.changes.hold(account, &bare(contact), &list)?;
            }
            for (_, old) in known.iter().filter(|(of, _)| *of == account) {
                let known = self.list_of(account, old.clone())?;
                if known != list {
                    return Err(format!(
                        "account {account} has the list {list:?}, and who knew {old:?} has {known:?}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// What a client makes of the list that it knows.
    fn list_of(&mut self, account: usize, known: List) -> Result<List, String> {
        let who = self.a_new_device(account, "lister")?;
        self.devices[who].list = Some(known);
        self.carry_all(who)?;
        let list = self.devices[who].list.take();
        self.leaves_for_good(who)?;
        Ok(list.unwrap_or_default())
    }
}
