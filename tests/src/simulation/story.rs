//! One story: who is in it, and what may happen. What people do is in `doings.rs`, how it ends in
//! `ending.rs`.

use super::{
    chance::Chance,
    contacts::List,
    device::{Around, Device, Habit, bare, localpart},
    ledger::{Ledger, Number},
    line::Line,
};
use crate::{client::PASSWORD, script::Port, simulated::Simulated, world::World};
use std::time::Duration;
use store::disk::Fault;

/// Sessions that an account may have (`server::limits::RESOURCES_MAX`).
const RESOURCES_MAX: usize = server::limits::RESOURCES_MAX;

/// Lines that nobody has found out yet: with those that live, fewer than an account may have sessions.
const DEAD_MAX: usize = RESOURCES_MAX - 4;

/// A failed disk is tried again within that time (`store::limits::PROBE_SECONDS_MAX`).
pub(super) const RECOVERY: Duration = Duration::from_secs(31);

/// More than a session waits.
pub(super) const LONG: Duration = Duration::from_hours(25);

/// A story that was told.
pub struct Told {
    /// What happened, in order.
    pub log: Vec<String>,
    /// What should not have been, if anything.
    pub outcome: Result<(), String>,
    /// How often somebody came into a room, and what was heard there.
    pub rooms: [usize; 2],
    /// Messages; those that were acknowledged to their senders; those of them that came.
    pub messages: [usize; 3],
}

/// Tells the story of that number.
pub fn tell(seed: u64) -> Told {
    let mut story = Story::new(seed);
    let outcome = story.play();
    Told {
        messages: story.ledger.counts(),
        rooms: story.ledger.rooms.counts(),
        log: story.log,
        outcome,
    }
}

pub(super) struct Story {
    pub(super) chance: Chance,
    pub(super) world: Simulated,
    pub(super) ledger: Ledger,
    pub(super) accounts: usize,
    pub(super) devices: Vec<Device>,
    /// Lines whose device has left them, and which the server takes for good.
    pub(super) dead: Vec<Line>,
    pub(super) sessions: Number,
    pub(super) log: Vec<String>,
    /// The server goes on for days in this story.
    pub(super) is_calm: bool,
    /// The disk is not to be relied on in this story.
    pub(super) disk_is_poor: bool,
    /// The disk takes nothing, or will fail.
    pub(super) disk_is_bad: bool,
    /// The same, or the server may not know yet that it is over.
    pub(super) trouble: bool,
    /// Bytes of a message.
    pub(super) body: usize,
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
                device.wants_copies = chance.once_in(2);
                device.is_inactive = chance.once_in(4);
                device.catches_up = chance.once_in(2);
                device.list = chance.once_in(2).then(List::default);
                if device.is_modern && !chance.once_in(3) {
                    let number = devices.len();
                    device.installation = Some(format!("00000000-0000-4000-8000-{number:012}"));
                }
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
            is_calm: chance.once_in(3),
            disk_is_poor: chance.once_in(2),
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
            if self.disk_is_bad && self.chance.once_in(20) {
                self.disk_is_well();
            }
            self.come_to_rest(device)?;
            self.rooms_may_agree()?;
            self.limits_hold()?;
        }
        self.end()
    }

    /// One thing.
    fn happen(&mut self, who: usize) -> Result<(), String> {
        match self.chance.within(0..100) {
            0..10 => self.carry(who)?,
            10..22 => self.carry_all(who)?,
            22..31 if self.devices[who].is_online() => self.somebody_says_something(who),
            31..38 if self.devices[who].is_online() => self.somebody_is_about_the_room(who),
            38..40 => self.devices[who].ask(),
            40..45 => self.devices[who].acknowledge(),
            45..62 if self.devices[who].is_online() => self.somebody_moves(who),
            62..66 if self.devices[who].line.is_some() => self.line_drops(who)?,
            66..69 if self.devices[who].line.is_some() => self.line_dies(who),
            69..71 if self.devices[who].is_online() => self.goodbye(who)?,
            71..73 => self.a_dead_line_is_found_out(),
            73..79 => self.time_passes()?,
            79..81 if !self.is_calm => self.restart()?,
            81..83 if !self.is_calm => self.power_cut(who)?,
            83..85 if self.disk_is_poor => self.disk_has_trouble(),
            _ if self.devices[who].line.is_none() || self.chance.once_in(4) => {
                self.connect(who)?;
                if !self.chance.once_in(4) {
                    self.carry_all(who)?;
                }
            }
            _ => self.carry_all(who)?,
        }
        Ok(())
    }

    /// Mostly the world comes to rest after each thing; sometimes the disk is slower than the next one.
    fn come_to_rest(&mut self, who: usize) -> Result<(), String> {
        if self.chance.once_in(5) {
            self.hurry(who);
            return self.collect();
        }
        self.settle()
    }

    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.world.settle();
        self.ledger.blocks.come_to_rest();
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

    pub(super) fn note(&mut self, who: usize, what: &str) {
        self.log.push(format!("{} {what}", self.devices[who].jid));
    }

    pub(super) fn connect(&mut self, who: usize) -> Result<(), String> {
        self.note(who, "connects");
        self.devices[who].uses_token = !self.chance.once_in(4);
        let link = self.world.connect(Port::C2sTls);
        let link = link.map_err(|problem| problem.to_string())?;
        let line = Line::new(link, bare(self.devices[who].account));
        let old = self.devices[who].connect(line);
        self.dead.extend(old);
        // Each may have a session, of which an account has so many.
        while self.dead.len() > DEAD_MAX {
            self.a_dead_line_is_found_out();
        }
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

    pub(super) fn up(&mut self, who: usize, bytes: usize) {
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
        self.mark_trouble(); // of a session that began just now, too
        let Some(why) = ended else {
            return Ok(());
        };
        self.note(who, &format!("is left: {why}"));
        let line = self.devices[who].lose_line();
        let is_troubled = self.trouble || line.is_some_and(|line| line.is_troubled);
        self.the_end_of_a_stream_has_a_reason(&why, is_troubled)
    }

    /// Everything gets on, to and fro, until there is nothing more to say.
    pub(super) fn carry_all(&mut self, who: usize) -> Result<(), String> {
        for _ in 0..8 {
            self.up(who, usize::MAX);
            self.settle()?;
            self.down(who, usize::MAX)?;
        }
        Ok(())
    }

    /// Both ends notice; what was on its way is cut anywhere.
    pub(super) fn line_drops(&mut self, who: usize) -> Result<(), String> {
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

    pub(super) fn has_dead_lines(&self) -> bool {
        !self.dead.is_empty()
    }

    pub(super) fn a_dead_line_is_found_out(&mut self) {
        if !self.dead.is_empty() {
            let line = self.chance.within(0..self.dead.len());
            let line = self.dead.remove(line);
            self.world.cut(line.link);
        }
    }

    pub(super) fn goodbye(&mut self, who: usize) -> Result<(), String> {
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

    pub(super) fn pass(&mut self, time: Duration) -> Result<(), String> {
        let passed = self.world.pass(time);
        passed.map_err(|problem| problem.to_string())?;
        for device in &mut self.devices {
            device.token_age += time;
        }
        self.trouble &= self.disk_is_bad || time < RECOVERY;
        self.settle()
    }

    pub(super) fn restart(&mut self) -> Result<(), String> {
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

    pub(super) fn disk_is_well(&mut self) {
        self.log.push("the disk is well".into());
        let _ = self.world.disk_empties();
        self.world.disk_heals();
        self.mark_trouble();
        self.disk_is_bad = false;
    }

    /// Whatever is on its way now may be refused, or never be handled.
    pub(super) fn mark_trouble(&mut self) {
        if !self.trouble {
            return;
        }
        for device in &mut self.devices {
            for message in device.unacknowledged() {
                self.ledger.may_be_refused(message);
            }
            if let Some(session) = &mut device.session {
                session.is_troubled = true;
            }
            if let Some(line) = &mut device.line {
                line.is_troubled = true;
            }
        }
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
