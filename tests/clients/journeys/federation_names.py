"""How a domain finds its server: SRV records for STARTTLS and for direct TLS (RFC 6120 §3.2.1, XEP-0368),
the domain's own address without them, several servers of which some are dead, IPv6. And how soon whoever
writes to a domain that has none is told."""

import asyncio
import time

from federation.ejabberd import EjabberdHouse
from federation.houses import S2S, S2S_TLS, Cottage, Terms
from federation.people import outcome
from federation.prosody import ProsodyHouse
from federation.street import Street
from servers import run
from waiting import Failed, step

SERVERS = ("hearth", "prosody")

# Nobody listens there.
DEAD, DEAD_TOO = "127.0.0.200", "::2"
QUICKLY = 5.0
# Names servers that do not answer are asked again before somebody is told.
PATIENTLY = 30.0
NOT_FOUND, TIMEOUT = "remote-server-not-found", "remote-server-timeout"


def reachable(names, host, sixth):
    """Domains in every way in which they can be found at `host` or, in IPv6, at `sixth`. Returns them."""
    def srv(service, domain, *records):
        names.set(f"_{service}._tcp.{domain}", "SRV", *records)
    for target, kind, address in (("dead.example", "A", DEAD), ("live.example", "A", host),
                                  ("six.example", "AAAA", sixth)):
        names.set(target, kind, address)
    names.set("both.example", "A", host)
    names.set("both.example", "AAAA", DEAD_TOO)
    srv("xmpp-server", "starttls.example", (5, 0, S2S, "live.example"))
    srv("xmpps-server", "direct.example", (5, 0, S2S_TLS, "live.example"))
    srv("xmpp-server", "second.example", (1, 0, S2S, "dead.example"), (2, 0, S2S, "live.example"))
    srv("xmpps-server", "mixed.example", (1, 0, S2S_TLS, "dead.example"))
    srv("xmpp-server", "mixed.example", (2, 0, S2S, "live.example"))
    srv("xmpp-server", "one-gone.example", (1, 0, S2S, "nothing.example"), (2, 0, S2S, "live.example"))
    names.set("address.example", "A", host)
    names.set("alias.example", "CNAME", "live.example")
    srv("xmpp-server", "sixth.example", (5, 0, S2S, "six.example"))
    srv("xmpp-server", "eyeballs.example", (5, 0, S2S, "both.example"))
    # The answer is too large for UDP (RFC 1035 §4.2.1).
    srv("xmpp-server", "large.example", (1, 0, S2S, "live.example"),
        *((9, 0, S2S, f"{number}.{'long' * 12}.example") for number in range(40)))
    return ("starttls.example", "direct.example", "second.example", "mixed.example", "one-gone.example",
            "address.example", "alias.example", "sixth.example", "eyeballs.example", "large.example")


def unreachable(names, closed):
    """Domains that cannot be found or reached: {domain: (errors that say so, seconds)}."""
    def srv(service, domain, *records):
        names.set(f"_{service}._tcp.{domain}", "SRV", *records)
    # RFC 6120 §3.2.1: decidedly not available, whatever address the domain has.
    srv("xmpp-server", "closed.example", (0, 0, 0, "."))
    srv("xmpps-server", "closed.example", (0, 0, 0, "."))
    names.set("closed.example", "A", closed)
    srv("xmpp-server", "refuses.example", (5, 0, S2S, "dead.example"))
    srv("xmpp-server", "gone.example", (5, 0, S2S, "nothing.example"))
    names.failing.add("broken.example")
    names.silent.add("silent.example")
    return {
        "nowhere.example": ((NOT_FOUND,), QUICKLY),
        "closed.example": ((NOT_FOUND,), QUICKLY),
        "gone.example": ((NOT_FOUND,), QUICKLY),
        "refuses.example": ((NOT_FOUND, TIMEOUT), QUICKLY),
        "broken.example": ((NOT_FOUND, TIMEOUT), QUICKLY),
        "silent.example": ((NOT_FOUND, TIMEOUT), PATIENTLY),
    }


async def go(home, directory):
    async with Street(home, directory) as street:
        sixth = "::1"
        # Records change, and nobody shall go by those of before.
        street.names.ttl = 0
        found = reachable(street.names, "127.0.0.11", sixth)
        terms = Terms(bidi=False, cottages=tuple(Cottage(domain, "valid") for domain in found))
        with step("Prosody opens under many domains, ejabberd next to it, and Alice is at home"):
            friends = street.house(ProsodyHouse, "friends.example")
            friends.terms, friends.also = terms, (sixth,)
            office = street.house(EjabberdHouse, "office.example")
            await street.open("alice")
            alice = await street.person(home, "alice")
        await find(street, alice, friends, found)
        await miss(street, alice, friends)
        await be_reached(street, home, friends, office)
        if home.name == "hearth":
            await stay_out_of_the_house(street, home)


async def find(street, alice, friends, domains):
    with step(f"{len(domains)} domains are found, each in a way of its own"):
        people = await asyncio.gather(*(street.person(friends, "bob", domain=domain) for domain in domains))
        was = await asyncio.gather(*(outcome(alice, bob, "Found you", PATIENTLY) for bob in people))
        lost = {domain: what for domain, what in zip(domains, was) if what != "arrived"}
        if lost:
            raise Failed(f"not found: {lost}")
        await asyncio.gather(*(bob.leave() for bob in people))


async def miss(street, alice, friends):
    missing = unreachable(street.names, friends.host)
    if street.home.name == "prosody":
        # libunbound asks for minutes.
        del missing["silent.example"]

    async def told(domain, conditions, seconds):
        began = time.monotonic()
        was = await outcome(alice, f"bob@{domain}", "Are you there?", seconds)
        took = time.monotonic() - began
        return None if was in conditions else f"{domain}: {was} after {took:.1f} s, not {conditions}"
    with step(f"{len(missing)} domains are not, and she is told at once (RFC 6120 §8.3.3.16, §8.3.3.17)"):
        wrong = await asyncio.gather(*(told(domain, *wanted) for domain, wanted in missing.items()))
        if any(wrong):
            raise Failed("\n".join(text for text in wrong if text))


async def be_reached(street, home, friends, office):
    """Neighbours look for our server, and ejabberd's own port for direct TLS is found. Our server starts anew
    each time, so that nobody is connected and everybody looks again."""
    at_friends, at_office = await street.person(friends, "alice"), await street.person(office, "alice")
    for direct, starttls, people in (
            # ejabberd 24.12 begins direct TLS, but loses the answer when it comes too soon.
            (True, False, [at_friends]), (False, True, [at_friends, at_office]), (True, True, [at_friends])):
        kinds = " and ".join(["direct TLS"] * direct + ["STARTTLS"] * starttls)
        names = " and ".join(bob.boundjid.domain for bob in people)
        with step(f"our server is found by {names} when its records name {kinds}"):
            street.publish(home.domain, home.host, direct, starttls)
            alice = await start_again(street, home)
            for bob in people:
                was = await outcome(bob, alice, f"looking for {kinds}", PATIENTLY)
                if was != "arrived":
                    raise Failed(f"a message from {bob.boundjid} {was or 'got lost'}")

    with step("our server finds ejabberd by direct TLS alone"):
        street.publish(office.domain, office.host, direct=True, starttls=False)
        alice = await start_again(street, home)
        was = await outcome(alice, at_office, "directly", PATIENTLY)
        if was != "arrived":
            raise Failed(f"a message to {at_office.boundjid} {was or 'got lost'}")


async def start_again(street, home):
    await home.stop()
    await home.start()
    return await street.person(home, "alice")


async def stay_out_of_the_house(street, home):
    """What other servers' names cannot make ours do: call a printer. Others leave that to a firewall."""
    printer = "192.168.77.5"
    await run("ip", "address", "add", f"{printer}/32", "dev", "lo")
    calls = []

    async def called(_, writer):
        calls.append(writer)
        writer.close()
    listener = street.ends(await asyncio.start_server(called, printer, S2S))
    for domain, kind, record in (
            ("printer.example", "A", printer), ("mapped.example", "AAAA", "::ffff:c0a8:4d05")):
        street.names.set(domain, kind, record)
    street.names.set("_xmpp-server._tcp.service.example", "SRV", (1, 0, S2S, "printer.example"))
    domains = ("printer.example", "mapped.example", "service.example")
    alice = await street.person(home, "alice")
    with step(f"names that lead to {printer}, inside of the house, are not followed"):
        was = await asyncio.gather(*(outcome(alice, f"it@{domain}", "Print!", PATIENTLY) for domain in domains))
        if calls or not set(was) <= {NOT_FOUND, TIMEOUT}:
            raise Failed(f"{len(calls)} calls came through; she was told {was}")

    with step("but where the configuration says so (turn.allow_peers)"):
        home.allow_peers = (f"{printer}/32",)
        alice = await start_again(street, home)
        await outcome(alice, "it@printer.example", "Print!", PATIENTLY)
        if not calls:
            raise Failed("nobody called")
        listener.close()
