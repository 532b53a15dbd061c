"""A call finds its way through our relay (RFC 8656): Alice's app is told where it is and what to say there, and
coturn's own client goes through it, by UDP, TCP and TLS, from IPv4 and IPv6, to peers of both. Nobody gets in
with other words, and nobody into the house."""

import asyncio
import json
import re
import socket
import subprocess
from xml.etree import ElementTree as ET

from slixmpp_client import Slixmpp
from talk import ALICE, start
from waiting import Failed, step, until

SERVERS = ("hearth",)

NS = "{urn:xmpp:extdisco:2}"
MESSAGES = 20
# Peers of this journey are on this machine, which nobody could reach otherwise.
CONFIGURATION = """
[turn]
allow_peers = ["127.0.0.0/8", "::1/128"]
relay_ports = "49160-49259"
"""
# How the client comes in, the option for it, and the name of the listener.
WAYS = (("UDP", (), "stun"), ("TCP", ("-t",), "stun"), ("TLS", ("-t", "-S"), "turn_tls"),
        ("TLS at the port of the web", ("-t", "-S"), "https"))
# Where it comes from, and where its peer is.
FAMILIES = (("IPv4", "127.0.0.1", "127.0.0.1", "-X"), ("IPv6", "::1", "::1", "-x"),
            ("IPv4, to a peer with IPv6", "127.0.0.1", "::1", "-x"),
            ("IPv6, to a peer with IPv4", "::1", "127.0.0.1", "-X"))


async def go(server, directory):
    server.used += ("https", "stun", "turn_tls")
    server.elsewhere = dict.fromkeys(("https", "stun", "turn_tls"), "[::]")
    server.further = CONFIGURATION
    await start(server, ALICE)
    alice = await Slixmpp(server, f"{ALICE}/desk", ALICE).come_online()
    peers = [Peer(address, directory) for address in ("127.0.0.1", "::1")]
    try:
        with step("Alice's app is told where the relay is, and what to say there"):
            words = await told(alice, server)
        for peer in peers:
            await peer.start()
        await be_seen(server)
        for way, options, listener in WAYS:
            for family, host, peer, kind in FAMILIES:
                with step(f"data goes to a peer and back over {way} and {family}"):
                    port = next(it.port for it in peers if it.address == peer)
                    await through(words, getattr(server, listener), host, *options, kind, "-e", peer, "-r", port)
        with step("as it does by indications"):
            await through(words, server.stun, "127.0.0.1", "-s", "-X", "-e", "127.0.0.1", "-r", peers[0].port)
        with step("two who both are behind the relay reach each other, over UDP and over TCP"):
            for options in ((), ("-t",)):
                await through(words, server.stun, "127.0.0.1", "-y", "-X", *options)
        with step("whoever guesses is refused"):
            for guess in ((words[0], "guessed"), ("1700000000:alice", words[1]), ("alice", words[1])):
                await refused("Cannot complete Allocation", guess, server.stun, "-e", "127.0.0.1", "-r", peers[0].port)
        with step("nobody gets into the house"):
            for inside in ("10.1.2.3", "192.168.1.1", "169.254.169.254"):
                await refused("error 403", words, server.stun, "-e", inside, "-r", 80)
        with step("a call goes on while the configuration is read again"):
            await reload(server, words, peers[0].port)
        with step("with Alice's account her calls end, and what she was told is worth nothing"):
            await leave(server, words, peers[0].port)
    finally:
        for peer in peers:
            await peer.stop()
        await alice.leave()


async def told(alice, server):
    """Name and password for the relay; each place that it is said to be at must be there."""
    request = alice.make_iq_get(ito=server.domain)
    request.append(ET.Element(f"{NS}services"))
    answer = (await request.send()).xml.find(f"{NS}services")
    found = {(it.get("type"), it.get("transport"), int(it.get("port"))) for it in answer}
    wanted = {("stun", "udp", server.stun), ("turn", "udp", server.stun), ("turn", "tcp", server.stun),
              ("turns", "tcp", server.turn_tls)}
    if not wanted <= found:
        raise Failed(f"told {found} instead of {wanted}")
    turn = next(it for it in answer if it.get("type") == "turn")
    return turn.get("username"), turn.get("password")


async def be_seen(server):
    with step("whoever asks is told where they are seen from"):
        for host, seen in (("127.0.0.1", "127.0.0.1:"), ("::1", "::1:")):
            out, _ = await run("turnutils_stunclient", "-p", server.stun, host)
            if not re.search(rf"reflexive addr: {re.escape(seen)}\d+", out):
                raise Failed(f"{host}: {out}")


async def through(words, port, host, *options):
    """Everything that was sent comes back."""
    out, status = await client(words, port, host, *options)
    sent, came = totals(out)
    if status or not sent or sent != came:
        raise Failed(f"{came} of {sent}, status {status}:\n{out[-2000:]}")


async def refused(said, words, port, *options):
    """What coturn's client says where it is told the code, and where it is not."""
    out, status = await client(words, port, "127.0.0.1", "-X", *options)
    if not status or said not in out:
        raise Failed(f"not {said}, status {status}:\n{out[-2000:]}")


async def reload(server, words, port):
    call = asyncio.ensure_future(client(words, server.stun, "127.0.0.1", "-X", "-e", "127.0.0.1", "-r", port, messages=200))
    log = server.log.stat().st_size
    await until("nothing is relayed", lambda: has_allocation(server))
    server.process.send_signal(1)
    await until("it was not read", lambda: b"was reloaded" in server.log.read_bytes()[log:])
    if call.done():
        raise Failed("the call was over too soon")
    out, status = await call
    sent, came = totals(out)
    if status or not sent or sent != came:
        raise Failed(f"{came} of {sent}, status {status}:\n{out[-2000:]}")


async def leave(server, words, port):
    before = await packets(server)
    call = asyncio.ensure_future(client(words, server.stun, "127.0.0.1", "-X", "-e", "127.0.0.1", "-r", port, messages=2000))
    while await packets(server) < before + 10:
        if call.done():
            raise Failed(f"nothing is relayed: {call.result()[0][-2000:]}")
    await server.command("user", "disable", ALICE)
    await until("her call goes on", lambda: not has_allocation(server))
    if call.done():
        raise Failed("the call was over too soon")
    call.cancel()
    await refused("Cannot complete Allocation", words, server.stun, "-e", "127.0.0.1", "-r", port)
    await server.command("user", "enable", ALICE)
    await through(words, server.stun, "127.0.0.1", "-X", "-e", "127.0.0.1", "-r", port)


async def packets(server):
    """Relayed so far."""
    return json.loads(await server.command("status", "--json"))["relay"]["packets"]


def has_allocation(server):
    """Whether a port of the relay is bound."""
    table = subprocess.run(["ss", "-lunpH"], capture_output=True, text=True, check=True).stdout
    mine = (line.split()[3].rpartition(":")[2] for line in table.splitlines() if f"pid={server.process.pid}," in line)
    return any(port.isdigit() and 49160 <= int(port) <= 49259 for port in mine)


async def client(words, port, host, *options, messages=MESSAGES):
    """One run of coturn's client."""
    return await run("turnutils_uclient", "-c", "-u", words[0], "-w", words[1], "-n", messages, "-l", 200, "-p", port,
                     *options, host)


def totals(out):
    """Messages sent and received in the end."""
    found = re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", out)
    return tuple(map(int, found[-1])) if found else (0, 0)


async def run(*command):
    """What a program said, and its status."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    except asyncio.TimeoutError:
        raise Failed(f"{command[0]} did not end") from None
    finally:
        if process.returncode is None:
            process.kill()
    return out.decode(errors="replace"), process.returncode


class Peer:
    """Sends back what it gets."""

    def __init__(self, address, directory):
        self.address, self.log = address, directory / f"peer-{address.replace(':', '_')}.log"
        self.process = None
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as free:
            free.bind((address, 0))
            self.port = free.getsockname()[1]

    async def start(self):
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                "turnutils_peer", "-L", self.address, "-p", str(self.port), "-v", stdout=log, stderr=log)
        await until("the peer does not listen", self.listens)

    def listens(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((self.address, self.port))
            except OSError:
                return True
        return False

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
