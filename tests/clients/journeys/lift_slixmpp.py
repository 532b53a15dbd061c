"""Alice's slixmpp goes through a lift: its connection is lost in every way a connection can be lost, and it
resumes its session (XEP-0198 §5), also on another port, and after the server's restart."""

from link import Link
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, Talk, start
from waiting import Failed, step

SERVERS = ("hearth", "prosody")


async def go(server, directory):
    with step("two people are online, one of them through a link and with stream management"):
        await start(server, ALICE, BOB)
        link = await Link(server.host, server.c2s).open()
        other = await Link(server.host, server.c2s_tls).open()
        alice = await Slixmpp(server, f"{ALICE}/phone", ALICE, link=link, managed=True).come_online()
        bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
        talk = Talk(alice, bob, link)
    try:
        for waiting in (3, 0, 40):
            await talk.reset(waiting)
        await talk.swallow_what_bob_says()
        await talk.swallow_what_alice_says()
        await talk.swallow_acknowledgements()
        await come_back_elsewhere(talk, other)
        talk.stayed()
        if server.name == "hearth":  # Others do not keep sessions over a restart.
            await restart(server, talk)
        with step("and says goodbye"):
            await alice.leave()
            if not alice.closed_by_both:
                raise Failed("the server did not close its stream")
    finally:
        await alice.leave()
        await bob.leave()
        link.close()
        other.close()


async def come_back_elsewhere(talk, other):
    with step("the session is resumed on the other port, while the server thinks that the first one works"):
        talk.link.deaf_client = True
        talk.bob_says(3)
        await talk.bob.settled()
        await talk.lose()
        talk.link = other
        await talk.alice.come_back(other, direct_tls=True)
        await talk.complete()


async def restart(server, talk):
    """The server's own stops are one more way to lose a connection."""
    alice, bob = talk.alice, talk.bob
    with step("a session outlives the server's restart (SIGTERM), with what waited in it"):
        await talk.lose(tell_server=True)
        talk.bob_says(5)
        await bob.settled()
        await server.stop()
        await bob.gone()
        await server.start()
        talk.link.restore()
        await alice.come_back()
        await bob.come_online()
        talk.bob_says(1)
        await talk.complete()

    with step("and so does one that was connected when the server stopped"):
        await server.stop()
        await alice.gone()
        await bob.gone()
        await server.start()
        await bob.come_online()
        talk.bob_says(2)
        await bob.settled()
        await alice.come_back()
        await talk.complete()
