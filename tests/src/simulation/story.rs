//! One story: who is in it, what may happen, and how it ends.

use super::{
    chance::Chance,
    device::{Around, Device, Habit, bare, localpart},
    ledger::{Ledger, Number},
    line::Line,
    session::Sent,
};
use crate::{client::PASSWORD, script::Port, simulated::Simulated, world::World};
use std::time::Duration;
use store::disk::Fault;

/// Sessions that an account may have (`server::limits::RESOURCES_MAX`).
const RESOURCES_MAX: usize = server::limits::RESOURCES_MAX;

/// A failed disk is tried again within that time (`store::limits::PROBE_SECONDS_MAX`).
const RECOVERY: Duration = Duration::from_secs(31);

/// More than a session waits.
const LONG: Duration = Duration::from_hours(25);

/// A story that was told.
pub struct Told {
    /// What happened, in order.
    pub log: Vec<String>,
    /// What should not have been, if anything.
    pub outcome: Result<(), String>,
    /// Messages; those that were acknowledged to their senders; those of them that came.
    pub messages: [usize; 3],
}

/// Tells the story of that number.
pub fn tell(seed: u64) -> Told {
    let mut story = Story::new(seed);
    let outcome = story.play();
    Told {
        messages: story.ledger.counts(),
        log: story.log,
        outcome,
    }
}

struct Story {
    chance: Chance,
    world: Simulated,
    ledger: Ledger,
    accounts: usize,
    devices: Vec<Device>,
    /// Lines whose device has left them, and which the server takes for good.
    dead: Vec<Line>,
    sessions: Number,
    log: Vec<String>,
    /// The disk takes nothing, or will fail.
    disk_is_bad: bool,
    /// The same, or the server may not know yet that it is over.
    trouble: bool,
    /// Bytes of a message.
    body: usize,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut chance = Chance::of(seed);
        let accounts = chance.within(2..4);
        let mut devices = Vec::new();
        for account in 0..accounts {
            let several = chance.within(1..4);
            for number in 0..several {
                let habit = chance.one_of(&[
                    Habit::Resumes,
                    Habit::Resumes,
                    Habit::Counts,
                    Habit::Nothing,
                ]);
                let mut device = Device::new(account, &format!("device{number}"), habit);
                device.is_modern = chance.once_in(3);
                device.is_only_one = several == 1 && !device.is_modern;
                device.priority = chance.one_of(&[0, 0, 0, 5]);
                devices.push(device);
            }
        }
        let body = if chance.once_in(12) { 60_000 } else { 10 };
        Story {
            world: Simulated::of(seed),
            ledger: Ledger::default(),
            accounts,
            devices,
            dead: Vec::new(),
            sessions: 0,
            log: Vec::new(),
            disk_is_bad: false,
            trouble: false,
            body,
            chance,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        for account in 0..self.accounts {
            let made = self.world.make_account(&localpart(account), PASSWORD);
            made.map_err(|problem| problem.to_string())?;
        }
        for _ in 0..self.chance.within(80..400) {
            let device = self.chance.within(0..self.devices.len());
            self.happen(device)?;
            self.come_to_rest(device)?;
            self.limits_hold()?;
        }
        self.end()
    }

    /// One thing.
    fn happen(&mut self, who: usize) -> Result<(), String> {
        match self.chance.within(0..100) {
            0..18 => self.carry(who)?,
            18..34 => self.carry_all(who)?,
            34..50 if self.devices[who].is_online() => self.somebody_says_something(who),
            50..56 => self.devices[who].ask(),
            56..62 => self.devices[who].acknowledge(),
            62..67 if self.devices[who].is_online() => self.somebody_moves(who),
            67..71 if self.devices[who].line.is_some() => self.line_drops(who)?,
            71..74 if self.devices[who].line.is_some() => self.line_dies(who),
            74..76 if self.devices[who].is_online() => self.goodbye(who)?,
            76..78 => self.a_dead_line_is_found_out(),
            78..86 => self.time_passes()?,
            86..88 => self.restart()?,
            88..90 => self.power_cut(who)?,
            90..92 => self.disk_has_trouble(),
            _ if self.devices[who].line.is_none() || self.chance.once_in(4) => self.connect(who)?,
            _ => self.carry_all(who)?,
        }
        Ok(())
    }

    /// Mostly the world comes to rest after each thing; sometimes the disk is slower than the next one.
    fn come_to_rest(&mut self, who: usize) -> Result<(), String> {
        if self.chance.once_in(5) {
            if let Some(line) = &self.devices[who].line {
                self.world.hurry(line.link);
            }
            return self.collect();
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), String> {
        self.world.settle();
        for device in &mut self.devices {
            if let Some(line) = &mut device.line {
                line.came_to_rest(&self.world);
            }
        }
        self.collect()
    }

    fn collect(&mut self) -> Result<(), String> {
        for line in &mut self.dead {
            line.collect(&mut self.world, &mut self.ledger)?;
        }
        for device in &mut self.devices {
            if let Some(line) = &mut device.line {
                line.collect(&mut self.world, &mut self.ledger)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, who: usize, what: &str) {
        self.log.push(format!("{} {what}", self.devices[who].jid));
    }

    fn connect(&mut self, who: usize) -> Result<(), String> {
        self.note(who, "connects");
        let link = self.world.connect(Port::C2sTls);
        let link = link.map_err(|problem| problem.to_string())?;
        let old = self.devices[who].connect(Line::new(link));
        self.dead.extend(old);
        Ok(())
    }

    /// Some bytes get on, in both directions.
    fn carry(&mut self, who: usize) -> Result<(), String> {
        let Some((up, down)) = self.devices[who].line.as_ref().map(Line::in_flight) else {
            return Ok(());
        };
        let (up, down) = (self.some_of(up), self.some_of(down));
        self.up(who, up);
        self.down(who, down)
    }

    fn some_of(&mut self, bytes: usize) -> usize {
        if self.chance.once_in(2) {
            bytes
        } else {
            self.chance.within(0..bytes + 1)
        }
    }

    fn up(&mut self, who: usize, bytes: usize) {
        if let Some(line) = &mut self.devices[who].line {
            line.carry_to_server(&mut self.world, bytes);
        }
    }

    fn down(&mut self, who: usize, bytes: usize) -> Result<(), String> {
        let mut around = Around {
            chance: &mut self.chance,
            ledger: &mut self.ledger,
            next_session: &mut self.sessions,
            log: &mut self.log,
        };
        let ended = self.devices[who].read(bytes, &self.world, &mut around)?;
        let Some(why) = ended else {
            return Ok(());
        };
        self.note(who, &format!("is left: {why}"));
        let line = self.devices[who].lose_line();
        let is_troubled = self.trouble || line.is_some_and(|line| line.is_troubled);
        self.the_end_of_a_stream_has_a_reason(&why, is_troubled)
    }

    /// Everything gets on, to and fro, until there is nothing more to say.
    fn carry_all(&mut self, who: usize) -> Result<(), String> {
        for _ in 0..8 {
            self.up(who, usize::MAX);
            self.settle()?;
            self.down(who, usize::MAX)?;
        }
        Ok(())
    }

    fn somebody_says_something(&mut self, who: usize) {
        let others: Vec<usize> = (0..self.devices.len())
            .filter(|other| self.devices[*other].account != self.devices[who].account)
            .collect();
        let other = self.chance.one_of(&others);
        let account = self.devices[other].account;
        let is_bare = !self.chance.once_in(4);
        let to = if is_bare {
            bare(account)
        } else {
            self.devices[other].jid.clone()
        };
        for _ in 0..self.chance.within(1..4) {
            let message = self.ledger.write(account, is_bare);
            let hint = if self.chance.once_in(8) {
                "<no-permanent-store xmlns='urn:xmpp:hints'/>"
            } else {
                ""
            };
            let body = "x".repeat(self.body);
            let xml = format!(
                "<message to='{to}' type='chat' id='m{message}'><body>{body}</body>{hint}\
                 <origin-id xmlns='urn:xmpp:sid:0' id='m{message}'/></message>"
            );
            self.note(who, &format!("says m{message} to {to}"));
            let sent = Sent {
                xml,
                message: Some(message),
            };
            self.devices[who].send(sent, &mut self.ledger);
        }
        self.mark_trouble();
    }

    /// Other stanzas, for the counts.
    fn somebody_moves(&mut self, who: usize) {
        let other = self.chance.within(0..self.devices.len());
        let to = self.devices[other].jid.clone();
        let xml = match self.chance.within(0..4) {
            0 => {
                self.devices[who].priority = self.chance.one_of(&[0, 0, 5, -1]);
                return self.devices[who].announce(&mut self.ledger);
            }
            1 => format!("<presence to='{to}'/>"),
            2 => "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>".into(),
            _ => format!("<iq to='{to}' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>"),
        };
        self.devices[who].send(Sent { xml, message: None }, &mut self.ledger);
    }

    /// Both ends notice; what was on its way is cut anywhere.
    fn line_drops(&mut self, who: usize) -> Result<(), String> {
        self.note(who, "loses its line");
        self.carry(who)?;
        self.settle_or_not()?;
        if let Some(line) = self.devices[who].lose_line() {
            self.world.cut(line.link);
        }
        Ok(())
    }

    fn settle_or_not(&mut self) -> Result<(), String> {
        if self.chance.once_in(2) {
            return self.settle();
        }
        Ok(())
    }

    /// Only the device notices.
    fn line_dies(&mut self, who: usize) {
        self.note(who, "has a dead line");
        let line = self.devices[who].lose_line();
        self.dead.extend(line);
    }

    fn a_dead_line_is_found_out(&mut self) {
        if !self.dead.is_empty() {
            let line = self.chance.within(0..self.dead.len());
            let line = self.dead.remove(line);
            self.world.cut(line.link);
        }
    }

    fn goodbye(&mut self, who: usize) -> Result<(), String> {
        self.note(who, "says goodbye");
        self.devices[who].close(&mut self.ledger);
        self.line_drops(who)
    }

    fn time_passes(&mut self) -> Result<(), String> {
        let time = match self.chance.within(0..20) {
            0..10 => Duration::from_millis(self.chance.within(1..3_000) as u64),
            10..17 => Duration::from_secs(self.chance.within(3..900) as u64),
            17..19 => Duration::from_secs(self.chance.within(900..80_000) as u64),
            _ => LONG,
        };
        self.log.push(format!("{time:?} pass"));
        self.pass(time)
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let passed = self.world.pass(time);
        passed.map_err(|problem| problem.to_string())?;
        self.trouble &= self.disk_is_bad || time < RECOVERY;
        self.settle()
    }

    fn restart(&mut self) -> Result<(), String> {
        self.log.push("the server restarts".into());
        let restarted = self.world.restarts();
        restarted.map_err(|problem| problem.to_string())?;
        self.everybody_is_cut_off()
    }

    /// The last things that were said are not all on disk.
    fn power_cut(&mut self, who: usize) -> Result<(), String> {
        self.log.push("the power fails".into());
        if self.chance.once_in(2) {
            let trouble = std::mem::replace(&mut self.trouble, true);
            self.mark_trouble();
            self.trouble = trouble;
            self.world.disk_dies_after(self.chance.within(0..6) as u64);
            self.up(who, usize::MAX);
            self.world.settle();
        } else {
            self.up(who, usize::MAX);
            self.hurry(who);
        }
        self.collect()?;
        self.world.disk_heals();
        let failed = self.world.power_fails();
        failed.map_err(|problem| problem.to_string())?;
        self.everybody_is_cut_off()
    }

    fn hurry(&mut self, who: usize) {
        if let Some(line) = &self.devices[who].line {
            self.world.hurry(line.link);
        }
    }

    /// All connections are gone; what was written may still arrive.
    fn everybody_is_cut_off(&mut self) -> Result<(), String> {
        self.collect()?;
        self.dead.clear();
        for who in 0..self.devices.len() {
            if let Some((_, down)) = self.devices[who].line.as_ref().map(Line::in_flight) {
                let down = self.some_of(down);
                self.down(who, down)?;
                self.devices[who].lose_line();
            }
        }
        Ok(())
    }

    fn disk_has_trouble(&mut self) {
        if self.disk_is_bad {
            return self.disk_is_well();
        }
        self.disk_is_bad = true;
        self.trouble = true;
        if self.chance.once_in(2) {
            self.log.push("the disk is full".into());
            let _ = self.world.disk_fills();
        } else {
            let fault = self.chance.one_of(&[Fault::Write, Fault::Sync]);
            let after = self.chance.within(0..4) as u64;
            self.log
                .push(format!("the disk fails: {fault:?} after {after}"));
            self.world.disk_stumbles(fault, after);
        }
        self.mark_trouble();
    }

    fn disk_is_well(&mut self) {
        self.log.push("the disk is well".into());
        let _ = self.world.disk_empties();
        self.world.disk_heals();
        self.mark_trouble();
        self.disk_is_bad = false;
    }

    /// Whatever is on its way now may be refused, or never be handled.
    fn mark_trouble(&mut self) {
        if !self.trouble {
            return;
        }
        for device in &mut self.devices {
            for message in device.unacknowledged() {
                self.ledger.may_be_refused(message);
            }
            if let Some(session) = device.session_mut() {
                session.is_troubled = true;
            }
            if let Some(line) = &mut device.line {
                line.is_troubled = true;
            }
        }
    }

    /// Everybody leaves, time passes, and one device of each account fetches what waits.
    fn end(&mut self) -> Result<(), String> {
        self.log.push("the end begins".into());
        self.disk_is_well();
        self.pass(RECOVERY)?;
        for _ in 0..2 {
            for who in 0..self.devices.len() {
                self.carry_all(who)?;
            }
        }
        self.everybody_leaves()?;
        // What a disk in trouble did not take out waits as long as anything else, and then is gone.
        self.restart()?;
        self.log.push("a day and an hour pass".into());
        self.pass(LONG)?;
        self.one_fetches_what_waits("last")?;
        self.ledger.nothing_promised_is_lost()?;
        self.nothing_waits_any_more()
    }

    fn everybody_leaves(&mut self) -> Result<(), String> {
        for who in 0..self.devices.len() {
            if self.chance.once_in(3) && self.devices[who].is_online() {
                self.goodbye(who)?;
            } else if self.devices[who].line.is_some() {
                self.line_drops(who)?;
            }
        }
        while !self.dead.is_empty() {
            self.a_dead_line_is_found_out();
        }
        self.settle()
    }

    /// Logs one in for each account and lets it read and acknowledge everything; says how many messages came.
    fn one_fetches_what_waits(&mut self, resource: &str) -> Result<usize, String> {
        let before = self.ledger.receipts();
        for account in 0..self.accounts {
            self.devices
                .push(Device::new(account, resource, Habit::Counts));
            let who = self.devices.len() - 1;
            self.connect(who)?;
            for _ in 0..4 {
                self.carry_all(who)?;
                self.devices[who].acknowledge();
            }
            self.carry_all(who)?;
            self.goodbye(who)?;
            self.up(who, usize::MAX);
            self.settle()?;
        }
        Ok(self.ledger.receipts() - before)
    }

    /// Whoever comes next gets nothing, and no session is left on disk.
    fn nothing_waits_any_more(&mut self) -> Result<(), String> {
        self.restart()?;
        let came = self.one_fetches_what_waits("behind")?;
        if came > 0 {
            return Err(format!("{came} messages came once more in the end"));
        }
        self.pass(Duration::from_mins(10))?;
        for table in ["session.state", "session.entry"] {
            let rows = self.world.rows(table);
            let rows = rows.map_err(|problem| problem.to_string())?;
            if rows > 0 {
                return Err(format!("{rows} rows are left in {table}"));
            }
        }
        Ok(())
    }

    fn limits_hold(&mut self) -> Result<(), String> {
        let sessions = self.world.sessions();
        let sessions = sessions.map_err(|problem| problem.to_string())?;
        if sessions > self.accounts * RESOURCES_MAX {
            return Err(format!("{sessions} sessions of {} accounts", self.accounts));
        }
        Ok(())
    }

    /// Nobody did anything wrong here, so nobody is sent away for it.
    fn the_end_of_a_stream_has_a_reason(&self, why: &str, is_troubled: bool) -> Result<(), String> {
        let is_fine = match why.split(' ').next().unwrap_or_default() {
            "cut" | "closed" | "conflict" | "system-shutdown" | "connection-timeout" => true,
            "internal-server-error" => is_troubled,
            "resource-constraint" => self.body > 1_000,
            _ => false,
        };
        if is_fine {
            return Ok(());
        }
        Err(format!("a stream ended with {why}"))
    }
}
