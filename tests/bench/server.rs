//! A server under load: a process in a directory of its own, the door to it, and how it is started and
//! stopped. Which servers there are: `hearth.rs` and `prosody.rs`.

use crate::{
    client::{Account, Door},
    process::{Device, Process},
};
use anyhow::{Context, Result, bail};
use rcgen::CertifiedKey;
use rustix::process::{Pid, Signal, kill_process};
use rustls_pki_types::CertificateDer;
use std::{
    fs,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The domain that every server serves.
pub(crate) const DOMAIN: &str = "localhost";
/// How long a server may take to stop.
const STOP_TIME_MAX: Duration = Duration::from_secs(30);
/// How often we look whether it has.
pub(crate) const GLANCE: Duration = Duration::from_millis(20);
/// Lines of a server's log that go into a report.
const LOG_LINES: usize = 20;

/// A server that can be measured.
pub(crate) trait Kind {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Writes a configuration and makes accounts, before the first start.
    fn prepare(&self, place: &Place, accounts: &[Account]) -> Result<()>;

    /// Starts it; returns once it listens, with its address for direct TLS.
    fn launch(&self, place: &Place) -> Result<(Child, SocketAddr)>;
}

/// A directory with everything of one server in it, and with the certificate; removed at the end.
pub(crate) struct Place {
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

impl Place {
    /// A new one below `parent`, which should be on the disk that is to be measured.
    pub(crate) fn new(parent: &Path) -> Result<Place> {
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent);
        let directory = directory.with_context(|| format!("{}", parent.display()))?;
        // P-256 with ECDSA: what Hearth makes for itself at its first start.
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed([DOMAIN.to_owned()])?;
        let place = Place {
            directory,
            certificate: cert.der().clone(),
        };
        fs::write(place.certificate_file(), cert.pem())?;
        fs::write(place.key_file(), signing_key.serialize_pem())?;
        Ok(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
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

    /// The disk below.
    pub(crate) fn device(&self) -> Option<Device> {
        Device::of(self.directory.path())
    }

    /// The end of the log.
    pub(crate) fn tail(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
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
}

impl Drop for Running {
    /// Its data are thrown away.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
