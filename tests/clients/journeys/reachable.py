"""From an empty zone and a key for it to a server that the world finds: records, a certificate that is proven by
them (DNS-01), and a client that looks for the server as RFC 6120 §3.2 and XEP-0368 say and verifies whom it found."""

import socket
import ssl

from knot import Knot
from pebble import Pebble, ports
from slixmpp_client import Slixmpp
from waiting import Failed, step, until

SERVERS = ("hearth",)

DOMAIN = "home.example"
PASSWORD = "open sesame"
# Name servers are asked where the world asks them: at port 53, on an address of this machine that nobody has.
NAME_SERVER = "127.53.0.1"
PATIENCE = 120.0


async def go(server, directory):
    server.domain = DOMAIN
    server.used = ("c2s", "c2s_tls", "s2s", "http", "https")
    server.c2s, server.c2s_tls, server.s2s, server.http, server.https = ports(5)
    knot = Knot(directory, NAME_SERVER, 53)
    # It looks for no proof but those in the records.
    pebble = Pebble(directory / "pebble", *ports(2), dns=f"{NAME_SERVER}:53")
    try:
        knot.start()
        await until("the zone is served", lambda: knot.says(DOMAIN, "SOA"))
        await pebble.start()
        configure(server, knot, pebble)
        await server.start()
        await server.add_user("alice", PASSWORD)
        await be_found(server, knot, pebble)
    finally:
        await server.stop()
        await pebble.stop()
        knot.stop()


async def be_found(server, knot, pebble):
    with step("the zone is filled, and the certificate is proven by a record that goes again"):
        await until("the address is there", lambda: knot.says(DOMAIN, "A") == ["127.0.0.1"], PATIENCE)
        await until(lambda: f"no certificate:\n{server.tail()}",
                    lambda: is_believed(server, pebble), PATIENCE)
        if 'way="dns-01"' not in server.log.read_text():
            raise Failed(f"it was proven otherwise:\n{server.tail()}")
        left = [name for name in names() if knot.says(f"_acme-challenge.{name}", "TXT")]
        if left:
            raise Failed(f"proofs are left of {left}")
    with step("every name server says the same as the house (hearth dns status)"):
        said = await server.command("dns", "status")
        if "not there" in said:
            raise Failed(said)
    with step("a client finds the server by its domain alone, and believes nobody else"):
        for service in ("_xmpps-client._tcp", "_xmpp-client._tcp"):
            for port in found(knot, service):
                if port not in (server.https, server.c2s_tls, server.c2s):
                    raise Failed(f"{service} leads to {port}")
        if found(knot, "_xmpps-client._tcp")[0] != server.https:
            raise Failed("the port of the web does not come first")
        for by_https in (True, False):
            alice = Slixmpp(server, f"alice@{DOMAIN}", PASSWORD, direct_tls=True, by_https=by_https, ca=pebble.root)
            await (await alice.log_in()).leave()
        alice = Slixmpp(server, f"alice@{DOMAIN}", PASSWORD, ca=pebble.root)
        await (await alice.log_in()).leave()


def names():
    return [DOMAIN, *(f"{name}.{DOMAIN}" for name in ("groupchat", "upload", "proxy", "pubsub"))]


def found(knot, service):
    """The ports of a service, in the order of the records, all of them on this machine."""
    places = []
    for line in knot.says(f"{service}.{DOMAIN}", "SRV"):
        priority, _, port, host = line.split()
        if knot.says(host.rstrip("."), "A") != ["127.0.0.1"]:
            raise Failed(f"{service} leads to {host}")
        places.append((int(priority), int(port)))
    return [port for _, port in sorted(places)]


def is_believed(server, pebble):
    """Whether whoever trusts that authority gets in at the port of the web."""
    trusted = ssl.create_default_context(cafile=pebble.root)
    try:
        with socket.create_connection(("127.0.0.1", server.https), 5) as plain:
            trusted.wrap_socket(plain, server_hostname=DOMAIN).close()
    except (ssl.SSLCertVerificationError, OSError):
        return False
    return True


def configure(server, knot, pebble):
    token = server.directory / "token"
    token.write_text(knot.secret + "\n")
    server.further = f"""
[public]
ipv4 = "127.0.0.1"
[dns]
provider = "rfc2136"
server = "{NAME_SERVER}:53"
tsig_name = "house"
token_file = "{token}"
[resolver]
nameservers = ["{NAME_SERVER}:53"]
[tls]
mode = "acme"
extra_ca = "{pebble.authority.ca}"
[acme]
directory = "{pebble.url}"
challenge = "dns-01"
"""
    server.write_configuration()
