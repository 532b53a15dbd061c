"""A house gets its certificate by itself, from pebble, which refuses a fifth of all nonces: by a file at the port
without TLS, by a handshake at that of the web, by one where the other does not go. Clients verify it as they would
anybody's. It is renewed while the server runs, and a restart asks for none."""

import asyncio
import json
import signal
import socket
import ssl

from cryptography import x509

from pebble import Pebble, ports
from slixmpp_client import Slixmpp
from waiting import Failed, step, until

SERVERS = ("hearth",)

DOMAIN = "house.example"
PASSWORD = "open sesame"
# An order takes some seconds; on a busy machine, and with nonces that are refused, more.
PATIENCE = 90.0
# Of the authority that is asked for renewals: a third of it is left when it is renewed.
SHORT_SECONDS = 45
SECONDS_MAX = 600


async def go(server, directory):
    server.domain = DOMAIN
    server.used = ("c2s", "c2s_tls", "http", "https")
    server.http, server.https = ports(2)
    pebble = Pebble(directory / "pebble", server.http, server.https)
    short = Pebble(directory / "short", server.http, server.https, SHORT_SECONDS)
    try:
        await pebble.start()
        await short.start()
        configure(server, pebble, "http-01")
        await server.start()
        await server.add_user("alice", PASSWORD)
        await prove(server, pebble)
        await restart(server, pebble)
        await fall_back(server, pebble)
        await renew(server, short)
    finally:
        await pebble.stop()
        await short.stop()


async def prove(server, pebble):
    with step("a file at the port without TLS proves all names"):
        await until(lambda: f"no certificate:\n{server.tail()}", lambda: shown(server, pebble), PATIENCE)
        names = alternative_names(shown(server, pebble))
        wanted = {DOMAIN, *(f"{name}.{DOMAIN}" for name in ("groupchat", "upload", "proxy", "pubsub"))}
        if names != wanted:
            raise Failed(f"it is for {names}")
    with step("whoever verifies it gets in, at the port for clients and at that of the web"):
        for by_https in (False, True):
            await log_in(server, pebble, by_https)
    with step("hearth check and hearth status say whose it is and until when"):
        found = json.loads(await server.command("--json", "check", "tls"))
        if [it["level"] for it in found] != ["ok"] or "Pebble" not in found[0]["text"]:
            raise Failed(f"{found}")
        if "to be renewed around" not in (text := await good(server)):
            raise Failed(text)
    with step("another name is another certificate, which a handshake at the port of the web proves"):
        before = serial(server, pebble)
        configure(server, pebble, "tls-alpn-01", 'rooms = "rooms"')
        reload(server)
        await until(lambda: f"no other certificate:\n{server.tail()}", lambda: serial(server, pebble) != before, PATIENCE)
        if f"rooms.{DOMAIN}" not in alternative_names(shown(server, pebble)):
            raise Failed("it is not for the new name")
        await log_in(server, pebble)


async def restart(server, pebble):
    with step("a restart shows the same one from the first connection, and asks for none"):
        before, orders = serial(server, pebble), pebble.orders()
        for end in (server.stop, server.kill):
            await end()
            await server.serve()
            if serial(server, pebble) != before:
                raise Failed("it is another one")
            await good(server)
            if pebble.orders() != orders:
                raise Failed("another one was ordered")
        await log_in(server, pebble)


async def fall_back(server, pebble):
    with step("where one way does not go, another does"):
        before = serial(server, pebble)
        # Nobody is where the authority looks.
        server.http = ports(1)[0]
        configure(server, pebble, "auto", 'pubsub = "blogs"')
        reload(server)
        await until(lambda: f"no other certificate:\n{server.tail()}", lambda: serial(server, pebble) != before, PATIENCE)
        log = server.log.read_text()
        if "could not be proven by http-01" not in log or 'way="tls-alpn-01"' not in log:
            raise Failed(f"it does not say how:\n{server.tail()}")


async def renew(server, short):
    with step("another authority is asked, and what it gives is renewed while somebody is there"):
        configure(server, short, "tls-alpn-01", 'pubsub = "blogs"')
        reload(server)
        await until(lambda: f"no certificate:\n{server.tail()}", lambda: shown(server, short), PATIENCE)
        first = serial(server, short)
        alice = await Slixmpp(server, f"alice@{DOMAIN}/desk", PASSWORD, direct_tls=True, ca=short.root).log_in()
        await until(lambda: f"it is not renewed:\n{server.tail()}", lambda: serial(server, short) not in (None, first), PATIENCE)
        await alice.leave()
        await log_in(server, short)


async def good(server):
    """What health says of the certificate, once it was looked at and found good."""
    text, deadline = "", asyncio.get_running_loop().time() + PATIENCE
    while "vouches for" not in text:
        if asyncio.get_running_loop().time() > deadline:
            raise Failed(f"it was not found good: {text}")
        health = json.loads(await server.command("--json", "status"))["health"]
        text = next((it["text"] for it in health if it["part"] == "certificate"), "")
    return text


def configure(server, pebble, challenge, names=""):
    server.further = f"""[tls]
mode = "acme"
extra_ca = "{pebble.authority.ca}"
[acme]
directory = "{pebble.url}"
challenge = "{challenge}"
contact = "alice@{DOMAIN}"
[names]
{names}
"""
    server.write_configuration()


def reload(server):
    server.process.send_signal(signal.SIGHUP)


async def log_in(server, pebble, by_https=False):
    await (await Slixmpp(server, f"alice@{DOMAIN}", PASSWORD, direct_tls=True, by_https=by_https, ca=pebble.root).log_in()).leave()


def shown(server, pebble):
    """The certificate at the port of the web, where whoever trusts that authority accepts it; else `None`."""
    trusted = ssl.create_default_context(cafile=pebble.root)
    try:
        with socket.create_connection(("127.0.0.1", server.https), 5) as plain, \
                trusted.wrap_socket(plain, server_hostname=DOMAIN) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True))
    except (ssl.SSLCertVerificationError, OSError):
        return None


def serial(server, pebble):
    certificate = shown(server, pebble)
    return certificate and certificate.serial_number


def alternative_names(certificate):
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return set(names.value.get_values_for_type(x509.DNSName))

