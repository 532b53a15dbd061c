"""How many connections two servers need: one, where both can use it both ways (XEP-0288), two otherwise,
and never another one while that is there. Stanzas are counted on it where the other side can (XEP-0198)."""

from federation.ejabberd import EjabberdHouse
from federation.houses import S2S, S2S_TLS, Terms
from federation.people import greet
from federation.prosody import ProsodyHouse
from federation.sockets import connections
from federation.street import Street
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")

MESSAGES = 200


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("ours and three others start: Prosody with and without XEP-0288, and ejabberd"):
            friends = street.house(ProsodyHouse, "friends.example")
            strict = street.house(ProsodyHouse, "strict.example", Terms(bidi=False, smacks=False))
            office = street.house(EjabberdHouse, "office.example")
            friends.log_level = "debug"
            await street.open("alice", "bob")
        # ejabberd 24.12 looks for XEP-0288 under another name than others offer it.
        for neighbour, wanted in ((friends, 1), (strict, 2), (office, 2)):
            for first in ("we", "they"):
                await connect(street, home, neighbour, first, wanted)
        with step("stanzas were counted with the neighbour who can, in both directions"):
            counted(friends)


async def connect(street, home, neighbour, first, wanted):
    """Our server starts anew, and one of both says something first."""
    await home.stop()
    await home.start()
    with step(f"{neighbour.domain} ({neighbour.name}), {first} begin: connections: {wanted}"):
        alice, bob = await street.person(home, "alice"), await street.person(neighbour, "bob")
        one, other = (alice, bob) if first == "we" else (bob, alice)
        one.say(other.boundjid.bare, f"{first} begin")
        await other.hears(one.boundjid.bare, f"{first} begin")
        await greet(alice, bob, "and answer")
        for number in range(MESSAGES):
            alice.say(bob.boundjid.bare, f"{first} {number}")
            bob.say(alice.boundjid.bare, f"{first} {number}")
        for one, other in ((alice, bob), (bob, alice)):
            await other.hears(one.boundjid.bare, f"{first} {MESSAGES - 1}")
            heard = [body for body in other.bodies() if body.startswith(f"{first} ") and body[-1].isdigit()]
            if heard != [f"{first} {number}" for number in range(MESSAGES)]:
                raise Failed(f"{other.boundjid} heard {heard}")

        def found():
            # Nobody else on the street says anything meanwhile.
            return sum(connections(house.host, S2S, S2S_TLS) for house in (home, neighbour))
        # The connection that a dialback key was asked over may still be closing.
        await until(lambda: f"there are {found()}", lambda: found() <= wanted)
        if found() != wanted:
            raise Failed(f"there are {found()}")
        await alice.leave()
        await bob.leave()


def counted(neighbour):
    log = neighbour.log.read_text(errors="replace")
    for words, text in (("asked to count what we send", "<enable"), ("was told that it arrived", "<a ")):
        if not any("s2s" in line and text in line and "urn:xmpp:sm:3" in line for line in log.splitlines()):
            raise Failed(f"{neighbour.domain} was never {words}")
