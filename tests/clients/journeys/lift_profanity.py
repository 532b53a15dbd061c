"""Alice's profanity goes through a lift: its connection is lost, it connects again by itself and resumes its
session (XEP-0198 §5)."""

from link import Link
from profanity import Profanity
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, Talk, start
from waiting import Failed, step

SERVERS = ("hearth", "prosody")


async def go(server, directory):
    with step("two people are online, one of them through a link"):
        await start(server, ALICE, BOB)
        link = await Link(server.host, server.c2s).open()
        alice = await Profanity(server, directory / "alice", ALICE, ALICE, link=link).start()
        bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
    try:
        await alice.log_in()
        talk = Talk(alice, bob, link)
        for waiting in (3, 40):
            await talk.reset(waiting)
        await talk.swallow_what_bob_says()
        await talk.swallow_what_alice_says()
        await talk.swallow_acknowledgements()
        talk.stayed()
    except Failed as failure:
        raise Failed(f"{failure}\nAlice's screen:\n{alice.text()}") from failure
    finally:
        await alice.leave()
        await bob.leave()
        link.close()
