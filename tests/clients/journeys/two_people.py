"""Alice at profanity and Bob at slixmpp find each other, chat, go away and come back, and the server's plug
is pulled. What was promised before is there afterwards (RFC 6121, XEP-0160)."""

import asyncio

from profanity import Profanity
from slixmpp_client import Slixmpp
from waiting import Failed, step

SERVERS = ("hearth", "prosody")

ALICE, BOB, CAROL, DAVE = (f"{name}@localhost" for name in ("alice", "bob", "carol", "dave"))


async def go(server, directory):
    people = People(server, directory)
    try:
        await meet(server, people)
        await chat(people)
        await wait_for_bob(people)
        await pull_the_plug(server, people)
        await stop_in_order(server, people)
    except Failed as failure:
        screen = people.alice.text() if people.alice else "(not there yet)"
        raise Failed(f"{failure}\nAlice's screen:\n{screen}") from failure
    finally:
        await people.leave()


class People:
    """Who is at which client. `alice` is at profanity, everybody else at slixmpp."""

    def __init__(self, server, directory):
        self.server, self.directory = server, directory
        self.alice = self.bob = None
        self.clients = []

    def at_profanity(self, **how):
        return self._known(Profanity(self.server, self.directory / "alice", ALICE, password(ALICE), **how))

    def at_slixmpp(self, jid):
        return self._known(Slixmpp(self.server, f"{jid}/desk", password(jid)))

    def _known(self, client):
        self.clients.append(client)
        return client

    async def leave(self):
        """Everybody; a failure that is on its way is not covered by another one."""
        await asyncio.gather(*(client.leave() for client in self.clients), return_exceptions=True)


def password(jid):
    return f"{jid}'s own"


async def meet(server, people):
    """From an empty server to two contacts."""
    with step("the server starts, and accounts can be added"):
        await server.start()
        for jid in (ALICE, BOB, CAROL):
            await server.add_user(jid.partition("@")[0], password(jid))

    with step("profanity asks before it trusts a certificate that it cannot verify"):
        wary = await people.at_profanity(trust_server=False).start()
        await wary.connect()
        await wary.shows("TLS certificate verification failed")
        wary.type("/tls deny")
        await wary.shows("Login failed")
        await wary.leave()

    with step("profanity and slixmpp log in over verified TLS"):
        people.alice = alice = await (await people.at_profanity().start()).log_in()
        await alice.shows(r"\[TLS\].*\[online\]")
        people.bob = bob = await people.at_slixmpp(BOB).come_online()

    with step("Alice asks to see Bob's presence, and Bob approves"):
        alice.type(f"/roster add {BOB} Bobby")
        alice.type(f"/sub request {BOB}")
        await bob.sees(ALICE, "subscribe")
        bob.send_presence(pto=ALICE, ptype="subscribed")
        await bob.has_contact(ALICE, "from")
        await alice.shows(f"Subscription received from {BOB}")
        await alice.shows(r"\+\+ Bobby \(desk\) is online")

    with step("Bob asks to see Alice's presence, and Alice approves"):
        bob.send_presence(pto=ALICE, ptype="subscribe")
        await alice.shows(f"Received authorization request from {BOB}")
        alice.type(f"/sub allow {BOB}")
        await bob.sees(ALICE, "subscribed")
        await bob.has_contact(ALICE, "both")
        await bob.sees(ALICE, "available")


async def chat(people):
    """Presence and messages between two people who are there."""
    alice, bob = people.alice, people.bob
    with step("each sees what the other is doing"):
        alice.type('/status set away "making tea"')
        await bob.sees(ALICE, "away", status="making tea")
        bob.send_presence(pshow="dnd", pstatus="writing a letter")
        await alice.shows('Bobby .desk. is dnd, "writing a letter"')

    with step("they chat, both ways, although Alice is away"):
        alice.say(BOB, "Is anybody there? <3 & árvíztűrő 🐦")
        await bob.hears(ALICE, "Is anybody there? <3 & árvíztűrő 🐦")
        bob.say(ALICE, "Yes: I am \"here\" ☕")
        await alice.hears(BOB, "Yes: I am \"here\" ☕")
        alice.type("/status set online")


async def wait_for_bob(people):
    """Messages to somebody who has no client online."""
    alice, bob = people.alice, people.bob
    with step("Bob goes offline, and Alice sees it"):
        alice.type("/win 1")
        bob.send_presence(ptype="unavailable", pstatus="gone to bed")
        await bob.leave()
        await alice.shows('Bobby .desk. is offline, "gone to bed"')

    with step("what Alice writes meanwhile waits for Bob, in order, with the time"):
        alice.say(BOB, "first while you sleep")
        alice.say(BOB, "second while you sleep")
        await alice.settled()
        people.bob = bob = await people.at_slixmpp(BOB).come_online()
        first = await bob.hears(ALICE, "first while you sleep")
        second = await bob.hears(ALICE, "second while you sleep")
        if bob.messages != [first, second]:
            raise Failed(f"Bob got {[m['body'] for m in bob.messages]}")
        if not all(message["delay"]["stamp"] for message in bob.messages):
            raise Failed("a message that waited does not say since when (XEP-0203)")

    with step("and arrives once"):
        await bob.leave()
        people.bob = bob = await people.at_slixmpp(BOB).come_online()
        await bob.sees(ALICE, "available")
        await bob.settled()
        if bob.messages:
            raise Failed(f"Bob got again {[m['body'] for m in bob.messages]}")


async def pull_the_plug(server, people):
    """SIGKILL. An IQ set that was answered is on the disk, and with it everything that came before."""
    alice, bob = people.alice, people.bob
    carol = await people.at_slixmpp(CAROL).come_online()
    with step("Alice leaves; Bob writes to her and files her under family; Carol asks to see her"):
        bob.forget()
        await alice.leave()
        await bob.sees(ALICE, "unavailable")
        bob.say(ALICE, "for when you are back")
        await bob.update_roster(ALICE, name="Alice my dear", groups=["family"])
        carol.send_presence(pto=ALICE, ptype="subscribe")
        await carol.update_roster(ALICE, name="Alice next door")

    with step("the server is killed right after an account was added, and starts again"):
        await server.add_user("dave", password(DAVE))
        await server.kill()
        await bob.gone()
        await carol.gone()
        await server.start()

    with step("accounts, rosters, groups and subscriptions are there"):
        people.bob = bob = await people.at_slixmpp(BOB).come_online()
        item = bob.client_roster[ALICE]
        if (item["name"], item["groups"], item["subscription"]) != ("Alice my dear", ["family"], "both"):
            raise Failed(f"Bob's roster has {item}")
        carol = await people.at_slixmpp(CAROL).come_online()
        if not carol.client_roster[ALICE]["pending_out"]:
            raise Failed(f"Carol's request is gone: {carol.client_roster[ALICE]}")
        await people.at_slixmpp(DAVE).log_in()

    with step("Alice logs in again: Bob's message and Carol's request have waited"):
        people.alice = alice = await (await people.at_profanity().start()).log_in()
        await alice.shows(f"Received authorization request from {CAROL}")
        # The contact list beside the console, with unread messages counted.
        await alice.shows(r"Online \(\d\)\n.*\sBobby")
        await bob.sees(ALICE, "available")
        bob.say(ALICE, "there you are")
        await alice.hears(BOB, "there you are")
        if alice.text().count("for when you are back") != 1:
            raise Failed(f"Bob's message did not wait, or came twice:\n{alice.text()}")

    with step("Alice lets Carol see her"):
        alice.type(f"/sub allow {CAROL}")
        await carol.has_contact(ALICE, "to")
        await carol.sees(ALICE, "available")


async def stop_in_order(server, people):
    """SIGTERM: clients are told, and nothing is lost."""
    alice, bob = people.alice, people.bob
    with step("a server that is stopped says goodbye (RFC 6120 §4.9.3.20)"):
        await bob.leave()
        alice.say(BOB, "written before the night")
        await alice.settled()
        witness = await people.at_slixmpp(CAROL).come_online()
        await server.stop()
        await witness.gone()
        if witness.stream_errors != ["system-shutdown"]:
            raise Failed(f"instead it said {witness.stream_errors}")

    with step("both log in after the start, and the message is there"):
        await server.start()
        await alice.shows(r"\[offline\]")
        await alice.log_in()
        bob = await people.at_slixmpp(BOB).come_online()
        await bob.hears(ALICE, "written before the night")
        await bob.sees(ALICE, "available")
