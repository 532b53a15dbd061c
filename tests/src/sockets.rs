//! The world of real sockets: any server, reached over TCP and TLS.
//!
//! Nobody can see from outside whether a server has come to rest, so absence costs [`ABSENCE`] here.

use crate::{
    script::{Action, Port},
    world::{Link, Problem, World},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

/// How long nothing comes until we believe that nothing will.
pub const ABSENCE: Duration = Duration::from_millis(500);
/// How long we wait for what must come.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often sockets are looked at.
const GLANCE: Duration = Duration::from_millis(3);

/// The server to play against.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`.
    pub address: String,
    pub domain: String,
    /// Whether the port begins without TLS (RFC 6120 §5) or with it (XEP-0368).
    pub starttls: bool,
    pub tls: Arc<ClientConfig>,
    /// A command that makes an account, with `{local}`, `{domain}` and `{password}`; without it, no
    /// script with accounts can be played.
    pub register: Option<String>,
}

/// TLS that trusts the certificates in a PEM file.
pub fn trust(file: &Path) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("{}: {error}", file.display()))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    Ok(Arc::new(config))
}

/// One script's view of the server.
#[derive(Debug)]
pub struct Sockets {
    target: Target,
    suffix: String,
    links: Vec<Connection>,
}

#[derive(Debug)]
struct Connection {
    transport: Option<Transport>,
    inbox: Vec<u8>,
    closed: bool,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Sockets {
    /// A world whose accounts nobody else has.
    pub fn new(target: &Target) -> Sockets {
        static PLAYED: AtomicU64 = AtomicU64::new(0);
        let since_1970 = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let played = PLAYED.fetch_add(1, Ordering::Relaxed);
        let suffix = format!("-{:x}-{played}", since_1970.as_secs());
        Sockets {
            target: target.clone(),
            suffix,
            links: Vec::new(),
        }
    }

    /// Reads all that is there; whether there was anything.
    fn glance(&mut self) -> bool {
        self.links
            .iter_mut()
            .fold(false, |any, link| link.take_in() | any)
    }
}

impl World for Sockets {
    fn domain(&self) -> &str {
        &self.target.domain
    }

    fn suffix(&self) -> &str {
        &self.suffix
    }

    fn repeats(&self) -> bool {
        false
    }

    fn lacks(&self, action: &Action) -> Option<String> {
        let lacks = match action {
            Action::With { key, .. } => return Some(format!("changes {key}")),
            Action::Has { .. } if self.target.register.is_none() => "accounts need --register",
            Action::Remote { .. } => "a remote server",
            Action::Component { .. } | Action::Raw(Port::Component) => "a component",
            Action::Raw(Port::C2s) if !self.target.starttls => "a connection without TLS",
            Action::After(_) => "time that passes at once",
            Action::DiskIsFull | Action::DiskHasRoom => "a full disk",
            Action::Restarts => "a restart",
            Action::PowerFails => "a power cut",
            _ => return None,
        };
        Some(lacks.into())
    }

    fn make_account(&mut self, localpart: &str, password: &str) -> Result<(), Problem> {
        let command = self.target.register.as_ref();
        let command = command.ok_or_else(|| Problem::Failed("accounts need --register".into()))?;
        let command = command
            .replace("{local}", localpart)
            .replace("{domain}", &self.target.domain)
            .replace("{password}", password);
        let output = Command::new("sh")
            .arg("-c")
            .arg(&command)
            .output()
            .map_err(failed)?;
        if output.status.success() {
            return Ok(());
        }
        Err(Problem::Failed(format!(
            "{command}: {}",
            String::from_utf8_lossy(&output.stderr)
        )))
    }

    fn connect(&mut self, port: Port) -> Result<Link, Problem> {
        let transport = self.target.open(port).map_err(failed)?;
        self.links.push(Connection {
            transport: Some(transport),
            inbox: Vec::new(),
            closed: false,
        });
        Ok(self.links.len() - 1)
    }

    fn write(&mut self, link: Link, bytes: &[u8]) {
        self.links[link].send(bytes);
    }

    fn read(&mut self, link: Link) -> Vec<u8> {
        self.glance();
        std::mem::take(&mut self.links[link].inbox)
    }

    fn is_closed(&self, link: Link) -> bool {
        self.links[link].closed
    }

    fn cut(&mut self, link: Link) {
        self.links[link].transport = None;
    }

    fn wait_for_more(&mut self) -> bool {
        let since = Instant::now();
        while !self.glance() {
            if since.elapsed() > PATIENCE {
                return false;
            }
            sleep(GLANCE);
        }
        true
    }

    fn settle(&mut self) -> bool {
        let mut moved = false;
        let mut since = Instant::now();
        while since.elapsed() < ABSENCE {
            if self.glance() {
                moved = true;
                since = Instant::now();
            }
            sleep(GLANCE);
        }
        moved
    }
}

impl Target {
    fn open(&self, port: Port) -> io::Result<Transport> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        if port == Port::C2s {
            socket.set_nonblocking(true)?;
            return Ok(Transport::Plain(socket));
        }
        if self.starttls {
            self.start_tls(&mut socket)?;
        }
        let name = ServerName::try_from(self.domain.clone()).map_err(io::Error::other)?;
        let tls = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        stream.sock.set_nonblocking(true)?;
        Ok(Transport::Tls(Box::new(stream)))
    }

    /// RFC 6120 §5.4, as shortly as it can be said.
    fn start_tls(&self, socket: &mut TcpStream) -> io::Result<()> {
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>",
            self.domain
        );
        socket.write_all(header.as_bytes())?;
        read_until(socket, "</stream:features>")?;
        socket.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")?;
        read_until(socket, "<proceed")?;
        Ok(())
    }
}

/// Reads byte by byte, since what follows `<proceed/>` is TLS already, up to the end of the tag
/// that begins so.
fn read_until(socket: &mut TcpStream, tag: &str) -> io::Result<()> {
    let mut text = String::new();
    let mut byte = [0];
    while !(text.ends_with('>')
        && text
            .rfind('<')
            .is_some_and(|at| text[at..].starts_with(tag)))
    {
        socket.read_exact(&mut byte)?;
        text.push(char::from(byte[0]));
    }
    Ok(())
}

impl Connection {
    fn take_in(&mut self) -> bool {
        let Some(transport) = &mut self.transport else {
            return false;
        };
        let before = (self.inbox.len(), self.closed);
        let mut bytes = [0; 4096];
        while !self.closed {
            let read = match transport {
                Transport::Plain(socket) => socket.read(&mut bytes),
                Transport::Tls(stream) => stream.read(&mut bytes),
            };
            match read {
                Ok(0) => self.closed = true,
                Ok(count) => self.inbox.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A reset, or an end without TLS's goodbye.
                Err(_) => self.closed = true,
            }
        }
        before != (self.inbox.len(), self.closed)
    }

    fn send(&mut self, mut bytes: &[u8]) {
        let since = Instant::now();
        while !bytes.is_empty() && since.elapsed() < PATIENCE {
            // Both sides may be full of what the other has not read.
            self.take_in();
            let Some(transport) = &mut self.transport else {
                return;
            };
            let written = match transport {
                Transport::Plain(socket) => socket.write(bytes),
                Transport::Tls(stream) => stream.write(bytes),
            };
            match written {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(GLANCE),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
        if let Some(Transport::Tls(stream)) = &mut self.transport {
            while stream
                .flush()
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            {
                sleep(GLANCE);
            }
        }
    }
}

fn failed(error: io::Error) -> Problem {
    Problem::Failed(error.to_string())
}
