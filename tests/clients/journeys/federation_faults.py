"""Bad lines between servers: connections that break while they are made, in the middle of a stanza, or
without anybody being told, that answer nothing or everything late. Nobody else notices, and of what was
sent nothing is lost without its sender being told."""

import asyncio

from federation.ejabberd import EjabberdHouse
from federation.faults import Line
from federation.houses import Cottage, Terms
from federation.people import Again, greet, outcome
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")

# After so many bytes of a new connection it breaks: before anything, in the first header, at STARTTLS, in the
# handshake, at the authentication.
EARLY = (0, 1, 150, 600, 1500, 3000, 4000, 5000, 6000)
SILENT = "silent.example"
# Its sender is told, or it arrives, within so many seconds.
TOLD = 20.0
# Whoever gets no answer at all may wait that long for one.
SILENCE = 75.0
BURST, LETTER = 60, "x" * 2000


async def go(home, directory):
    async with Street(home, directory) as street:
        terms = Terms(bidi=False, cottages=tuple(Cottage(f"cut-{count}.example", "valid") for count in EARLY))
        with step("ours, Prosody behind bad lines, and ejabberd behind a good one"):
            friends = street.house(ProsodyHouse, "friends.example", terms)
            office = street.house(EjabberdHouse, "office.example")
            # One line to the neighbour and one to us.
            there, here = await line(street, friends), await line(street, home)
            await street.open("alice", "bob")
            alice, bob = await street.person(home, "alice"), await street.person(friends, "bob")
            carol = await street.person(office, "bob")
        await break_early(street, friends, alice)
        await break_in_a_stanza(alice, bob, there)
        await break_in_a_stanza(bob, alice, here)
        await be_slow(alice, bob, there, here)
        await be_silent(alice, bob, carol, there, await line(street, friends, 100, SILENT))


async def line(street, house, number=1, domain=None):
    """Between the house, or the cottage of that domain, and everybody else."""
    made = street.ends(await Line(f"127.0.{number}.{house.host.rpartition('.')[2]}", house.host).open())
    street.publish(domain or house.domain, made.host)
    return made


async def break_early(street, friends, alice):
    with step(f"connections that break at once, or after some bytes: {len(EARLY)} arrive or come back"):
        domains = [f"cut-{count}.example" for count in EARLY]
        people = await asyncio.gather(*(street.person(friends, "bob", domain=domain) for domain in domains))
        lines = [await line(street, friends, 2 + number, domain) for number, domain in enumerate(domains)]
        for made, count in zip(lines, EARLY):
            made.cut_after = count
        was = await asyncio.gather(*(outcome(alice, bob, "through?", TOLD) for bob in people))
        lost = [domain for domain, what in zip(domains, was) if what is None]
        if lost:
            raise Failed(f"neither arrived nor came back: {lost}")

    with step("and when the lines are good again, what is said arrives"):
        for made in lines:
            made.cut_after = None
            made.reset()
        for bob in people:
            # Nobody calls at once where nobody answered.
            await until(f"nothing arrives at {bob.boundjid}", Again(alice, bob), 2 * TOLD)


async def break_in_a_stanza(one, other, line):
    name = one.boundjid.user
    with step(f"the connection of {name}'s server is reset in the middle of {BURST} messages: none is lost"):
        await greet(one, other, f"before the break of {name}")
        for wire in line.wires:
            wire.cut_after = wire.bytes + BURST * len(LETTER) // 3
        bodies = [f"{name} {number} {LETTER}" for number in range(BURST)]
        sent = {}
        for body in bodies:
            message = one.make_message(mto=other.boundjid.bare, mbody=body, mtype="chat")
            sent[message["id"]] = body
            message.send()

        def accounted():
            arrived = {m["body"] for m in other.messages}
            told = {sent.get(m["id"]) for m in one.returned}
            return [body for body in bodies if body not in arrived and body not in told]
        await until(lambda: f"lost: {[body[:12] for body in accounted()]}", lambda: not accounted(), SILENCE)
        broken = {m["body"] for m in other.messages if m["body"].startswith(f"{name} ")} - set(bodies)
        if broken:
            raise Failed(f"half of a message arrived: {broken}")
        await until("nothing more arrives", Again(one, other), TOLD)


async def be_slow(alice, bob, there, here):
    with step("lines on which everything takes its time: all arrives, in order"):
        for made in (there, here):
            made.delay, made.piece = 0.05, 512
            made.reset()
        alice.forget()
        bob.forget()
        await until("nothing arrives from alice", Again(alice, bob), SILENCE)
        await until("nothing arrives from bob", Again(bob, alice), SILENCE)
        await greet(alice, bob, "slowly")
        for made in (there, here):
            made.delay, made.piece = 0.0, 65536


async def be_silent(alice, bob, carol, frozen, silent):
    """Both at the same time: each takes as long as our server's patience."""
    with step("a line on which nothing arrives any more, and one that takes calls and says nothing: senders are "
              "told, and nobody else waits"):
        await greet(alice, bob, "before the silence")
        frozen.freeze()
        silent.answers.clear()
        waiting = [asyncio.ensure_future(outcome(alice, other, "Do you hear me?", SILENCE))
                   for other in (bob, f"bob@{SILENT}")]
        await until("nobody called", lambda: silent.connections)
        await greet(alice, carol, "nobody else is concerned")
        # The one may have come through another connection; the other had none.
        comes_through, cannot = await asyncio.gather(*waiting)
        if comes_through is None or cannot is None or cannot == "arrived":
            raise Failed(f"the first message {comes_through or 'got lost'}, the second {cannot or 'got lost'}")
