//! A home directory of its own for each test, and the real binary run in it.

use rustix::process::{Pid, Signal, kill_process};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;

/// Where a test's commands run; gone after it.
pub(crate) struct Home(TempDir);

/// What a command said.
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: i32,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home(tempfile::tempdir().expect("a directory for tests"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("inside the home")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    /// The binary, to be run here.
    pub(crate) fn hearth(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hearth"));
        command
            .current_dir(self.0.path())
            .env_remove("HEARTH_CONFIG")
            .env_remove("HEARTH_LOG");
        command
    }

    /// Runs a command to its end, without a terminal.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Said {
        self.run_with(arguments, input, &[])
    }

    pub(crate) fn run_with(
        &self,
        arguments: &[&str],
        input: &str,
        environment: &[(&str, &str)],
    ) -> Said {
        let mut command = self.hearth();
        command.args(arguments).envs(environment.iter().copied());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // A command that needs no input may be gone already.
        let _ = child
            .stdin
            .take()
            .expect("piped")
            .write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Said {
            out: text(output.stdout),
            err: text(output.stderr),
            status: output.status.code().expect("no signal"),
        }
    }
}

/// A connection over TLS.
pub(crate) type Tls = StreamOwned<ClientConnection, TcpStream>;

impl Home {
    /// TLS that is verified against the certificate which the server made.
    pub(crate) fn secure(&self, socket: TcpStream) -> Tls {
        let certificate = self.path("hearth-data/tls/self-signed.pem");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(certificate).expect("PEM"))
            .expect("a certificate");
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::new(config), name).expect("a client");
        StreamOwned::new(tls, socket)
    }
}

/// A server that runs in a home; killed with the test, if it still runs.
pub(crate) struct Running {
    child: Child,
    /// What the ready line said.
    pub(crate) listeners: serde_json::Value,
    log: Lines<BufReader<ChildStderr>>,
}

impl Home {
    /// Starts the server and waits until it is ready.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Running {
        let mut command = self.hearth();
        command.args(arguments);
        Home::start(command)
    }

    /// Likewise, with a log of this level.
    pub(crate) fn serve_at_level(&self, level: &str) -> Running {
        let mut command = self.hearth();
        command.env("HEARTH_LOG", level);
        Home::start(command)
    }

    fn start(mut command: Command) -> Running {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut line = String::new();
        let out = child.stdout.as_mut().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("text");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let Some(listeners) = line.strip_prefix("ready ") else {
            let mut rest = String::new();
            let _ = log.read_to_string(&mut rest);
            panic!("not ready: {line}{rest}");
        };
        let listeners = serde_json::from_str(listeners).expect("JSON");
        Running {
            child,
            listeners,
            log: log.lines(),
        }
    }
}

impl Running {
    /// Where a listener is bound.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let address = self.listeners[name][0]
            .as_str()
            .unwrap_or_else(|| panic!("{name} is not bound"));
        address.parse().expect("an address")
    }

    /// Reads the log up to a line with this text.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let found = self.log.any(|line| line.expect("text").contains(text));
        assert!(found, "the log ended without: {text}");
    }

    /// Reads the log until the server has ended.
    pub(crate) fn rest_of_the_log(&mut self) -> String {
        let lines = self.log.by_ref().map(|line| line.expect("text") + "\n");
        lines.collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Sends a signal that ends it; its exit status, if it had one.
    pub(crate) fn end(&mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
