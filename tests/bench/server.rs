//! A server under load: a process in a directory of its own, the door to it, and how it is started and
//! stopped. Which servers there are: `hearth.rs`, `prosody.rs` and `ejabberd.rs`.

use crate::{
    client::{Account, Door, Offer},
    disk::{Device, Disk},
    process::Process,
};
use anyhow::{Context, Result, bail, ensure};
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::CertificateDer;
use std::{
    fs,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long a server may take to listen.
const START_TIME_MAX: Duration = Duration::from_mins(1);
/// How long its certificate is good.
const CERTIFICATE_TIME: Duration = Duration::from_hours(90 * 24);
/// The domain that every server serves.
pub(crate) const DOMAIN: &str = "localhost";
/// How long a server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How often we look whether it has.
pub(crate) const GLANCE: Duration = Duration::from_millis(5);
/// Lines of a server's log that go into a report.
const LOG_LINES: usize = 20;

/// A server that can be measured.
pub(crate) trait Kind {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Writes a configuration and makes accounts, before the first start.
    fn prepare(&self, place: &Place, accounts: &[Account]) -> Result<()>;

    /// Makes everybody in a household a contact of everybody else, before the first start. `false` where
    /// that has to be done over XMPP.
    fn befriend(&self, _place: &Place, _households: &[&[Account]]) -> Result<bool> {
        Ok(false)
    }

    /// Lets the two people of each pair exchange so many messages, archived for both, while the server is
    /// not running.
    fn converse(&self, place: &Place, pairs: &[[Account; 2]], messages: usize) -> Result<()>;

    /// Sets it up to take files (XEP-0363), at `upload.` before the domain and over HTTPS at `localhost`,
    /// before the first start. `false` where nobody has written down how.
    fn take_files(&self, _place: &Place) -> Result<bool> {
        Ok(false)
    }

    /// Sets it up to relay calls at this address, with the secret of `turn.rs`, before the first start.
    fn relay_calls(&self, _place: &Place, _address: SocketAddr) -> Result<()> {
        bail!("nobody has written down how")
    }

    /// Starts it; returns once it listens, with its address for direct TLS.
    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)>;
}

/// A directory with everything of one server in it, and with the certificate.
pub(crate) struct Place {
    root: PathBuf,
    certificate: CertificateDer<'static>,
    /// Removed at the end; `None` where somebody else does that.
    disk: Option<Disk>,
}

impl Place {
    /// A new one below `parent`.
    pub(crate) fn new(parent: &Path) -> Result<Place> {
        let disk = Disk::new(parent)?;
        let mut place = Place::at(disk.root())?;
        place.disk = Some(disk);
        Ok(place)
    }

    /// In an empty directory.
    pub(crate) fn at(root: PathBuf) -> Result<Place> {
        // P-256 with ECDSA: what Hearth makes for itself at its first start.
        let signing_key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new([DOMAIN.to_owned()])?;
        // Some servers set a timer for the day on which it expires.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + now + CERTIFICATE_TIME;
        let cert = parameters.self_signed(&signing_key)?;
        let place = Place {
            root,
            certificate: cert.der().clone(),
            disk: None,
        };
        fs::write(place.certificate_file(), cert.pem())?;
        fs::write(place.key_file(), signing_key.serialize_pem())?;
        Ok(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn certificate_file(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.path("key.pem")
    }

    /// Where a process writes what it has to say to people.
    pub(crate) fn log(&self) -> Result<Stdio> {
        Ok(File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))?
            .into())
    }

    /// The block device that is this server's alone, if there is one.
    pub(crate) fn device(&self) -> Option<Device> {
        self.disk.as_ref()?.device()
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// An address on this machine where nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Returns once somebody takes connections there.
pub(crate) fn wait_for(child: &mut Child, address: SocketAddr) -> Result<()> {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.try_wait()? {
            bail!("{status}");
        }
        if since.elapsed() > START_TIME_MAX {
            let _ = child.kill();
            let _ = child.wait();
            bail!("nobody listens on {address}");
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// Whether the packages of a server are here; an error says what to install.
pub(crate) fn check_packages(packages: &[(&str, &str)], part: &str) -> Result<()> {
    for (package, version) in packages {
        let query = Command::new("dpkg-query")
            .args(["-W", "-f", "${Status} ${Version}", package])
            .output();
        let found = query.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let found = found.unwrap_or_default();
        let found = found.strip_prefix("install ok installed ");
        ensure!(
            found.is_some_and(|found| found.starts_with(version)),
            "{package} {version} is not installed ({}): tests/clients/install {part}, or --only hearth",
            found.unwrap_or("not here")
        );
    }
    Ok(())
}

/// A server that runs, until it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) process: Process,
    pub(crate) door: Door,
}

impl Running {
    /// Starts a server that was prepared.
    pub(crate) fn start(kind: &dyn Kind, place: &Place) -> Result<Running> {
        let (child, address) = kind.launch(place).with_context(|| {
            format!(
                "{} did not start; its log ends:\n{}",
                kind.name(),
                place.tail()
            )
        })?;
        let process = Process { pid: child.id() };
        let door = Door::new(address, DOMAIN, place.certificate.clone())?;
        Ok(Running {
            child,
            process,
            door,
        })
    }

    /// Ends it; what it offers is known.
    pub(crate) fn into_offer(self) -> Result<Offer> {
        let offer = self.door.offer.clone();
        self.stop()?;
        Ok(offer)
    }

    /// SIGTERM, as a service manager does it; returns once the server has ended.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let since = Instant::now();
        while self.child.try_wait()?.is_none() {
            if since.elapsed() > STOP_TIME_MAX {
                bail!("the server did not end after SIGTERM");
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// SIGKILL: it can do nothing more.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    /// Its data are thrown away.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
