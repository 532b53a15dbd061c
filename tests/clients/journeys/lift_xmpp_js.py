"""Alice's xmpp.js goes through a lift: its connection is lost, and it comes back by itself, with a token
and into its session, in one round trip where the server can do that (XEP-0198 §5, XEP-0388, XEP-0386,
XEP-0484), and by SASL and <resume/> where it cannot."""

from link import Link
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, Talk, start
from waiting import Failed, step
from xmpp_js import XmppJs

SERVERS = ("hearth", "prosody")


async def go(server, directory):
    await start(server, ALICE, BOB)
    link = await Link(server.host, server.c2s).open()
    bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
    try:
        with step("the old way: SASL, binding, stream management"):
            alice = await XmppJs(server, "alice", "phone", ALICE, link=link, plain=True).come_online()
            await alice.tells("asks", name="enable")  # which comes after it has said that it is online
            negotiated(alice, 0, ("auth", "SCRAM-SHA-1"), ("enable", None))
        await lose_and_return(alice, bob, link, ("auth", "SCRAM-SHA-1"), ("resume", None))
        await alice.leave()
        if server.name == "hearth":  # Debian's Prosody has no SASL2.
            await go_quickly(server, bob, link)
    finally:
        await bob.leave()
        link.close()


async def lose_and_return(alice, bob, link, *way):
    """`way` is how it comes back each time."""
    try:
        await bob.settled()
        bob.forget()
        talk = Talk(alice, bob, link)
        before = len(alice.told)
        for waiting in (3, 0, 40):
            await talk.reset(waiting)
        await talk.swallow_what_bob_says()
        await talk.swallow_what_alice_says()
        await talk.swallow_acknowledgements()
        talk.stayed()
        with step("it never said that anything failed, and went the same way each time"):
            negotiated(alice, before, *way * 6)
            wrong = [one for one in alice.told if one["event"] in ("failed", "says", "refused")]
            if wrong:
                raise Failed(f"{wrong}")
    except BaseException:
        await alice.leave()
        raise


def negotiated(alice, since, *expected):
    found = tuple((name, mechanism) for name, mechanism, _ in alice.asked(since))
    if found != expected:
        raise Failed(f"it asked for {found} instead of {expected}")


async def go_quickly(server, bob, link):
    async def enters(**how):
        """A process that logs in; it says what it asked for, and is gone again."""
        client = XmppJs(server, "alice", "tablet", link=link, **how)
        try:
            await client.start()
            await client.settled()
        finally:
            await client.leave()
        return client

    with step("the quick way: SASL2, resource and stream management at once, a token for the next time"):
        alice = await XmppJs(server, "alice", "phone", ALICE, link=link).come_online()
        await alice.tells("token")
        asked = alice.asked()
        if [(name, how) for name, how, _ in asked] != [("authenticate", "SCRAM-SHA-1")] or not {
                "bind", "request-token"} <= set(asked[0][2]):
            raise Failed(f"it asked for {asked}")
    since = len(alice.told)
    await lose_and_return(alice, bob, link, ("authenticate", "HT-SHA-256-NONE"))
    with step("all of that in one request"):
        if not all({"fast", "resume"} <= set(inside) for _, _, inside in alice.asked(since)):
            raise Failed(f"it asked for {alice.asked(since)}")
    token = next(one["token"] for one in alice.told if one["event"] == "token")
    await alice.leave()

    with step("a new process gets in by the token alone"):
        client = await enters(token=token)
        negotiated(client, 0, ("authenticate", "HT-SHA-256-NONE"))

    with step("with a token that is none any more it falls back on the password, and is given a new one"):
        client = await enters(token={**token, "token": "not this one"}, password=ALICE)
        negotiated(client, 0, ("authenticate", "HT-SHA-256-NONE"), ("authenticate", "SCRAM-SHA-1"))
        await client.tells("token")

    with step("slixmpp shows it among the devices that have access (XEP-0494)"):
        desk = await Slixmpp(server, f"{ALICE}/desk", ALICE).log_in()
        try:
            found = [(one["user_agent"]["software"], one["connected"]) for one in await desk.devices()]
        finally:
            await desk.leave()
        if found != [("xmpp.js", False)]:
            raise Failed(f"{found}")
