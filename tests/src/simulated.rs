//! The world in process: the server's own code on one thread, over a disk that forgets, without TLS
//! and without waiting. It is at rest before the next line of a script, so absence costs nothing.

mod component;
mod far;

use crate::{
    addresses::HOME,
    clock::{Hands, LoadedDice},
    script::Port,
    world::{Link, Problem, World},
};
use component::Components;
use far::{Far, Street};
use household::Config;
use server::{
    Parts, Readers, Server,
    accounts::{self, NewAccount},
    calls::Ports,
    connection::{Connection, Door, Peer, Todo},
    s2s::{Call, Reached},
    world::Clock,
};
use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use store::{
    Options, Store, Table, Urgency,
    disk::{Fault, FileName, SimDisk},
};
use xmpp::{StanzaError, StreamError};

/// Between two looks of the server at what is due (`Server::tick`).
const HOUSEKEEPING: Duration = Duration::from_mins(1);

/// What scripts need to be otherwise than on a household's server. Time stands still, so a stream
/// that is paused for its rate would never go on. Of listeners for calls and files, whose ports people
/// are told, only those are there that a script names.
const SETTINGS: &str = "domain = 'home.example'\nlimits.c2s_rate = '0'\n\
                        listen.stun = []\nlisten.turn_tls = []\nlisten.proxy65 = []\n";

/// One server and those who are connected to it.
pub struct Simulated {
    disk: SimDisk,
    clock: Arc<Hands>,
    dice: Arc<LoadedDice>,
    /// What the script wants otherwise, in TOML.
    settings: String,
    /// Started by whatever needs it first; gone while the power is off.
    server: Option<Arc<Server>>,
    lines: Vec<Line>,
    components: Components,
    /// Other servers, and who is to be called.
    far: Vec<Far>,
    street: Arc<Street>,
    power_cuts: u64,
}

/// A connection from both ends.
struct Line {
    /// The server's end, until either side has closed.
    connection: Option<Connection>,
    /// What was sent and the server has not looked at yet: it reads only when it wants to.
    towards_server: Vec<u8>,
    /// What the server wrote and nobody has read yet.
    towards_client: Vec<u8>,
    /// It is that of a user of another server.
    is_far: bool,
}

impl Default for Simulated {
    fn default() -> Simulated {
        Simulated {
            disk: SimDisk::new(),
            clock: Arc::default(),
            dice: Arc::default(),
            settings: String::new(),
            server: None,
            lines: Vec::new(),
            components: Components::default(),
            far: Vec::new(),
            street: Arc::default(),
            power_cuts: 0,
        }
    }
}

impl World for Simulated {
    fn domain(&self) -> &'static str {
        HOME
    }

    fn suffix(&self) -> &'static str {
        ""
    }

    fn repeats(&self) -> bool {
        true
    }

    fn make_account(&mut self, localpart: &str, password: &str) -> Result<(), Problem> {
        let server = self.server()?;
        let snapshot = server.store().snapshot().map_err(failed)?;
        let account = NewAccount {
            localpart,
            password,
            display_name: "",
            admin: false,
        };
        let writes = accounts::add(&snapshot, HOME, &account, server.now(), server.dice())
            .map_err(failed)?;
        drop(snapshot);
        server.store().queue(writes, Urgency::Now);
        self.settle();
        Ok(())
    }

    fn configure(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        // A number or a truth value is written without quotes; everything else in hearth.toml is a text.
        let is_bare = value.parse::<i64>().is_ok()
            || matches!(value, "true" | "false")
            || value.starts_with('[');
        let quote = if is_bare { "" } else { "'" };
        let _ = writeln!(self.settings, "{key} = {quote}{value}{quote}");
        self.config().map(|_| ())
    }

    fn connect(&mut self, port: Port) -> Result<Link, Problem> {
        let door = match port {
            Port::C2s => Door::StartTls,
            Port::C2sTls => Door::Secured,
            Port::Component => {
                let server = self.server()?;
                return Ok(self.components.connect(server));
            }
        };
        // A documentation address (RFC 5737): nobody's.
        let peer = Peer {
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            door,
        };
        let connection = Connection::new(self.server()?, peer);
        self.lines.push(Line {
            connection: Some(connection),
            towards_server: Vec::new(),
            towards_client: Vec::new(),
            is_far: false,
        });
        Ok(self.lines.len() - 1)
    }

    fn make_remote(&mut self, jid: &str) -> Result<Link, Problem> {
        let domain = jid.rsplit('@').next().unwrap_or_default();
        self.lines.push(Line {
            connection: None,
            towards_server: Vec::new(),
            towards_client: Vec::new(),
            is_far: true,
        });
        let line = self.lines.len() - 1;
        let at = self.far.iter().position(|far| far.domain == domain);
        let at = at.unwrap_or_else(|| {
            self.far.push(Far::new(domain));
            self.far.len() - 1
        });
        self.far[at].users.push((jid.into(), line));
        Ok(line)
    }

    fn write(&mut self, link: Link, bytes: &[u8]) {
        if Components::has(link) {
            return self.components.write(link, bytes);
        }
        self.lines[link].towards_server.extend_from_slice(bytes);
    }

    fn read(&mut self, link: Link) -> Vec<u8> {
        self.settle();
        if Components::has(link) {
            return self.components.read(link);
        }
        std::mem::take(&mut self.lines[link].towards_client)
    }

    fn is_closed(&self, link: Link) -> bool {
        if Components::has(link) {
            return self.components.is_closed(link);
        }
        self.lines[link].connection.is_none() && !self.lines[link].is_far
    }

    fn cut(&mut self, link: Link) {
        if Components::has(link) {
            if let Some(mut component) = self.components.cut(link) {
                self.now(component.leave());
            }
        } else if let Some(mut connection) = self.lines[link].connection.take() {
            self.now(connection.leave());
        }
        self.settle();
    }

    fn wait_for_more(&mut self) -> bool {
        self.settle()
    }

    fn settle(&mut self) -> bool {
        let mut moved = false;
        loop {
            let mut moves = self.writes_finish();
            for link in 0..self.lines.len() {
                moves |= self.drive(link);
            }
            moves |= self.drive_components();
            moves |= self.drive_far();
            if !moves {
                return moved;
            }
            moved = true;
        }
    }

    fn pass(&mut self, time: Duration) -> Result<(), Problem> {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(self.until_something_is_due());
            self.clock.pass(step);
            left -= step;
            for line in &mut self.lines {
                if let Some(connection) = &mut line.connection {
                    connection.tick();
                }
            }
            self.components.tick();
            for link in self.far.iter_mut().flat_map(Far::links) {
                link.tick();
            }
            let server = self.server()?;
            self.now(server.tick());
            self.settle();
        }
        Ok(())
    }

    fn disk_fills(&mut self) -> Result<(), Problem> {
        self.disk.set_capacity(Some(self.disk.used_bytes()));
        Ok(())
    }

    fn disk_empties(&mut self) -> Result<(), Problem> {
        self.disk.set_capacity(None);
        Ok(())
    }

    fn restarts(&mut self) -> Result<(), Problem> {
        self.server()?.note_stopping();
        for line in &mut self.lines {
            if let Some(connection) = &mut line.connection {
                connection.end(StreamError::SYSTEM_SHUTDOWN);
            }
        }
        self.components.end_all(StreamError::SYSTEM_SHUTDOWN);
        for link in self.far.iter_mut().flat_map(Far::links) {
            link.end(StreamError::SYSTEM_SHUTDOWN);
        }
        self.settle();
        self.writes_finish();
        if let Some(server) = self.server.take() {
            self.now(server.stopped());
            server.store().close();
        }
        for line in &mut self.lines {
            line.connection = None;
        }
        self.components.drop_all();
        self.forget_far();
        self.server().map(|_| ())
    }

    fn power_fails(&mut self) -> Result<(), Problem> {
        for line in &mut self.lines {
            line.connection = None;
        }
        self.components.drop_all();
        self.forget_far();
        self.server = None;
        self.power_cuts += 1;
        self.disk.power_fails(self.power_cuts);
        self.server().map(|_| ())
    }
}

impl Simulated {
    /// A world of its own in everything that is left to chance.
    pub fn of(seed: u64) -> Simulated {
        Simulated {
            dice: Arc::new(LoadedDice::of(seed)),
            power_cuts: seed << 16,
            ..Simulated::default()
        }
    }

    /// Lets one connection do what it can before the disk takes anything.
    pub fn hurry(&mut self, link: Link) {
        self.drive(link);
    }

    /// What was written to a connection, without letting anything happen.
    pub fn take_written(&mut self, link: Link) -> Vec<u8> {
        std::mem::take(&mut self.lines[link].towards_client)
    }

    /// Lets the disk die after so many more operations, until [`World::power_fails`].
    pub fn disk_dies_after(&mut self, operations: u64) {
        self.disk.dies_after(operations);
    }

    /// Lets writing to the journal fail after so many more successes, until [`Simulated::disk_heals`].
    pub fn disk_stumbles(&mut self, fault: Fault, successes: u64) {
        self.disk.fail_after(FileName::Journal, fault, successes);
    }

    /// Ends that.
    pub fn disk_heals(&mut self) {
        self.disk.heal();
    }

    /// Connected sessions.
    pub fn sessions(&mut self) -> Result<usize, Problem> {
        Ok(self.server()?.counts().sessions)
    }

    /// Rows of a table that begins with the account, whatever is in them.
    pub fn rows(&mut self, table: &'static str) -> Result<usize, Problem> {
        let snapshot = self.server()?.store().snapshot().map_err(failed)?;
        let table: Table<u32, ()> = Table::per_account(table, 1);
        let rows = table.removals(&snapshot, &(), usize::MAX);
        rows.map(|rows| rows.len()).map_err(failed)
    }

    /// The same of people alone: rooms have the upper half of the numbers (`server::room`).
    pub fn rows_of_people(&mut self, table: &'static str) -> Result<usize, Problem> {
        let snapshot = self.server()?.store().snapshot().map_err(failed)?;
        let table: Table<u32, ()> = Table::per_account(table, 1);
        let rows = table.range(&snapshot, ..1 << 31).map_err(failed)?;
        Ok(rows.count())
    }

    fn server(&mut self) -> Result<Arc<Server>, Problem> {
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        self.clock.start();
        let clock = self.clock.clone();
        let options = Options {
            clock: Arc::new(move || Duration::from_millis(clock.elapsed_ms())),
            journal_bytes: 1 << 20,
            ..Options::default()
        };
        let store = Store::open(Arc::new(self.disk.clone()), options).map_err(failed)?;
        let server = Server::new(Parts {
            config: Arc::new(self.config()?),
            store,
            clock: self.clock.clone(),
            dice: self.dice.clone(),
            readers: Arc::new(Inline),
        });
        let server = server.map_err(failed)?;
        let config = server.config();
        let port = |addresses: &[SocketAddr]| addresses.first().map(SocketAddr::port);
        server.offer_calls(Ports {
            stun: port(&config.listen.stun),
            turn_tls: port(&config.listen.turn_tls),
        });
        server.note_proxy_port(port(&config.listen.proxy65).unwrap_or(0));
        server.restore_sessions().map_err(failed)?;
        self.server = Some(server.clone());
        server.connect_outside(self.street.clone());
        self.now(server.settle_restored());
        self.now(server.resume_remotes()).map_err(failed)?;
        Ok(server)
    }

    fn config(&self) -> Result<Config, Problem> {
        let texts = [
            (Path::new("world"), SETTINGS),
            (Path::new("script"), self.settings.as_str()),
        ];
        Config::from_texts(texts).map_err(failed)
    }

    /// Lets the store write; whether there was anything.
    fn writes_finish(&self) -> bool {
        let Some(server) = &self.server else {
            return false;
        };
        let mut moved = false;
        while server.store().turn() {
            moved = true;
        }
        moved
    }

    /// Does for one connection what a socket's task does, until it waits; whether anything happened.
    fn drive(&mut self, link: Link) -> bool {
        let mut moved = false;
        let mut may_read = true;
        while let Some(mut connection) = self.lines[link].connection.take() {
            let line = &mut self.lines[link];
            if may_read && !line.towards_server.is_empty() {
                moved = true;
                connection.push(&std::mem::take(&mut line.towards_server));
            }
            let todo = self.now(connection.step());
            let line = &mut self.lines[link];
            let output = std::mem::take(connection.output());
            if !output.is_empty() {
                moved = true;
                line.towards_client.extend(output);
                self.now(connection.written());
            }
            match todo {
                Todo::Read => may_read = true,
                Todo::Wait => may_read = false,
                Todo::Write => {
                    self.lines[link].connection = Some(connection);
                    continue;
                }
                Todo::Work(work) => {
                    self.now(connection.resume(work.run()));
                    self.lines[link].connection = Some(connection);
                    moved = true;
                    continue;
                }
                // There is no TLS in this world; what follows is the script's last word on this connection.
                Todo::StartTls => may_read = false,
                Todo::Close => {
                    self.now(connection.leave());
                    return true;
                }
            }
            let idle = self.lines[link].towards_server.is_empty() || !may_read;
            self.lines[link].connection = Some(connection);
            if idle {
                break;
            }
        }
        moved
    }

    /// Does what other servers do; whether anything happened.
    fn drive_far(&mut self) -> bool {
        let Some(server) = self.server.clone() else {
            return false;
        };
        let mut moved = false;
        while let Some(call) = self.street.next() {
            moved = true;
            self.is_called(&server, call);
        }
        let mut all = std::mem::take(&mut self.far);
        for far in &mut all {
            for (user, line) in far.users.clone() {
                let said = std::mem::take(&mut self.lines[line].towards_server);
                moved |= !said.is_empty();
                far.says(&user, &said);
            }
            let round = far.drive(&server, |link| self.now(link.step()));
            moved |= round.moved;
            for mut link in round.over {
                self.now(link.leave());
            }
            for (line, bytes) in round.got {
                self.lines[line].towards_client.extend(bytes);
            }
        }
        self.far = all;
        moved
    }

    /// Another server is to be called: one of the script's, or one that nobody knows.
    fn is_called(&mut self, server: &Arc<Server>, call: Call) {
        let (reached, domain) = match call {
            Call::Deliver(remote) => (Reached::Deliver(remote.clone()), remote.theirs.to_string()),
            Call::Verify(verification) => {
                let domain = verification.theirs.to_string();
                (Reached::Verify(verification), domain)
            }
        };
        if let Some(far) = self.far.iter_mut().find(|far| far.domain == domain) {
            return far.is_called(server, reached);
        }
        let error = StanzaError::REMOTE_SERVER_NOT_FOUND;
        match reached {
            Reached::Deliver(remote) => {
                self.now(server.remote_failed(&remote, error, "there is no such server"));
            }
            Reached::Verify(verification) => verification.failed(error),
        }
    }

    /// Nothing is left of the streams with other servers.
    fn forget_far(&mut self) {
        for far in &mut self.far {
            far.forget();
        }
        self.street = Arc::default();
    }

    /// The time until a connection or the server has something to do.
    fn until_something_is_due(&mut self) -> Duration {
        let now = self.clock.elapsed_ms();
        let far = self.far.iter_mut().flat_map(Far::links);
        let far: Vec<u64> = far.filter_map(|link| link.deadline()).collect();
        let deadlines = self
            .lines
            .iter()
            .filter_map(|line| line.connection.as_ref()?.deadline())
            .chain(self.components.deadlines())
            .chain(far);
        let next = deadlines.map(|deadline| Duration::from_millis(deadline.saturating_sub(now)));
        let push = self.server.as_ref().and_then(|server| server.until_push());
        let next = next.chain(push).min().unwrap_or(HOUSEKEEPING);
        next.clamp(Duration::from_millis(1), HOUSEKEEPING)
    }

    /// Runs to its end what only the store can hold up.
    fn now<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) = future
                .as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
            {
                return value;
            }
            assert!(
                self.writes_finish(),
                "something waits for nothing that could still happen"
            );
        }
    }
}

/// Reads of the disk happen where they are asked for.
struct Inline;

impl Readers for Inline {
    fn run(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::Failed(error.to_string())
}
