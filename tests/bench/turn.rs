//! Scenario `turn`: what it costs to relay a packet of 200 bytes from a client to a peer or back (RFC
//! 8656), and what 50 allocations take while nobody talks. Hearth beside Debian's coturn, which is what
//! others would put next to their server; its own client and peer drive both, and what those cost is
//! nobody's business.

use crate::{
    Bench,
    meter::Meter,
    process::Process,
    server::{Kind, Place, check_packages, free_address, wait_for},
    table::{Figure, figure},
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) const SECRET: &str = "a secret for one run";
/// Ports for relayed addresses of whoever is measured.
pub(crate) const RELAY_PORTS: [u16; 2] = [40_000, 40_999];
/// Bytes of a packet, and milliseconds between two of one client: sound.
const PACKET_BYTES: usize = 200;
const PACKET_EVERY_MS: usize = 5;
/// Clients that talk, and packets of each.
const CLIENTS: usize = 20;
const PACKETS: usize = 1_000;
/// Clients that have an allocation and say nothing any more, as two people: a person may not have all of
/// them.
const SILENT: usize = 25;
/// How long their allocations take at most.
const SILENT_TIME_MAX: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(50);

/// Whether coturn is here; an error says what to install.
pub(crate) fn check() -> Result<()> {
    check_packages(&[("coturn", "")], "clients")
}

pub(crate) async fn run(bench: &Bench, kind: &dyn Kind) -> Result<Vec<Figure>> {
    let place = bench.place()?;
    kind.prepare(&place, &[])?;
    let address = free_address()?;
    kind.relay_calls(&place, address)?;
    let (child, _) = kind.launch(&place)?;
    measure(Ended(child), address).await
}

pub(crate) async fn run_coturn(bench: &Bench) -> Result<Vec<Figure>> {
    let (place, address) = (bench.place()?, free_address()?);
    let mut child = coturn(&place, address)?;
    wait_for(&mut child, address)?;
    measure(Ended(child), address).await
}

/// Debian's, with its defaults but for what has to be said; one listener, as Hearth has.
fn coturn(place: &Place, address: SocketAddr) -> Result<Child> {
    let [first, last] = RELAY_PORTS;
    let configuration = format!(
        "listening-ip={}\nlistening-port={}\nrelay-ip={}\nmin-port={first}\nmax-port={last}\n\
         use-auth-secret\nstatic-auth-secret={SECRET}\nrealm=localhost\nallow-loopback-peers\n\
         no-tls\nno-dtls\nno-cli\npidfile={}\nlog-file={}\nsimple-log\nuserdb={}\n",
        address.ip(),
        address.port(),
        address.ip(),
        place.path("turn.pid").display(),
        place.path("turn.log").display(),
        place.path("turn.db").display(),
    );
    let file = place.path("turnserver.conf");
    fs::write(&file, configuration)?;
    let mut command = Command::new("turnserver");
    command.arg("-c").arg(file).stdin(Stdio::null());
    Ok(command.stdout(place.log()?).stderr(place.log()?).spawn()?)
}

/// A program that ends with what it was for.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn measure(server: Ended, address: SocketAddr) -> Result<Vec<Figure>> {
    let process = Process { pid: server.0.id() };
    let peer_port = UdpSocket::bind((address.ip(), 0))?.local_addr()?.port();
    let mut peer = Command::new("turnutils_peer");
    peer.args([
        "-L",
        &address.ip().to_string(),
        "-p",
        &peer_port.to_string(),
    ]);
    let _peer = Ended(peer.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    // The first ones load code.
    talk(address, peer_port, "first", 2, 20)?;
    process.rest().await?;
    let before = process.resident()?;
    let silent = ["one", "other"].map(|name| silent(address, peer_port, name));
    let silent: Vec<Ended> = silent.into_iter().collect::<Result<_>>()?;
    let deadline = Instant::now() + SILENT_TIME_MAX;
    while relayed(process)? < 2 * SILENT {
        ensure!(
            Instant::now() < deadline,
            "{} allocations",
            relayed(process)?
        );
        thread::sleep(GLANCE);
    }
    process.rest().await?;
    let grown = process.resident()?.saturating_sub(before);
    drop(silent);
    let meter = Meter::start(process, None).await?;
    let came = talk(address, peer_port, "bench", CLIENTS, PACKETS)?;
    let (cpu, _) = meter.stop().await?;
    // Each was relayed twice: to the peer and back.
    let each = cpu.as_secs_f64() * 1e6 / (2 * came) as f64;
    Ok(vec![
        figure("relayed packet of 200 bytes, CPU µs", each),
        figure("50 allocations at rest, MB resident", grown as f64 / 1e6),
    ])
}

/// coturn's client with these options. Peers get a channel each.
fn client(address: SocketAddr, peer_port: u16, name: &str) -> Command {
    let mut command = Command::new("turnutils_uclient");
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    command.args([
        "-c", "-X", "-u", name, "-W", SECRET, "-p", &port, "-e", &host,
    ]);
    command.args([
        "-r",
        &peer_port.to_string(),
        "-l",
        &PACKET_BYTES.to_string(),
    ]);
    command
        .args(["-z", &PACKET_EVERY_MS.to_string()])
        .stdin(Stdio::null());
    command
}

/// Lets some clients of one name talk, which nobody else has: they leave their allocations behind. Returns
/// how many packets came back, which must be nearly all.
fn talk(
    address: SocketAddr,
    peer_port: u16,
    name: &str,
    clients: usize,
    packets: usize,
) -> Result<usize> {
    let mut command = client(address, peer_port, name);
    command.args(["-m", &clients.to_string(), "-n", &packets.to_string()]);
    let output = command.arg(address.ip().to_string()).output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let came = said.rsplit("tot_recv_msgs=").next().unwrap_or_default();
    let came = came
        .split(|it: char| !it.is_ascii_digit())
        .next()
        .unwrap_or_default();
    let came: usize = came
        .parse()
        .with_context(|| format!("the client said: {said}"))?;
    ensure!(
        came * 100 >= clients * packets * 99,
        "{came} of {}",
        clients * packets
    );
    Ok(came)
}

/// Clients that stay when they have said a word.
fn silent(address: SocketAddr, peer_port: u16, name: &str) -> Result<Ended> {
    let mut command = client(address, peer_port, name);
    command.args(["-h", "-n", "1", "-m", &SILENT.to_string()]);
    command
        .arg(address.ip().to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(Ended(command.spawn()?))
}

/// Sockets of a process among the ports for relayed addresses.
fn relayed(process: Process) -> Result<usize> {
    let text = fs::read_to_string(format!("/proc/{}/net/udp", process.pid))?;
    let ports = text.lines().skip(1).filter_map(|line| {
        let local = line.split_whitespace().nth(1)?;
        u16::from_str_radix(local.rsplit(':').next()?, 16).ok()
    });
    let [first, last] = RELAY_PORTS;
    Ok(ports.filter(|port| (first..=last).contains(port)).count())
}
