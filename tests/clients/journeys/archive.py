"""Everybody's clients read the archive page by page, in the way they do it themselves (XEP-0313, XEP-0059):
slixmpp forwards and backwards, xmpp.js as its users write it. profanity 0.13 asks the server instead of the
account whether there is an archive, which is none (XEP-0313 §6.1, §7), and does without."""

from datetime import datetime, timedelta, timezone

from profanity import Profanity
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step
from xmpp_js import XmppJs

SERVERS = ("hearth", "prosody")

CAROL = "carol@localhost"
# Three pages of ten and a bit.
SAID = 33


async def go(server, directory):
    if server.name == "prosody":
        server.further = ["mam"]
    with step("Alice is talked to by two people"):
        await start(server, ALICE, BOB, CAROL)
        alice = await Slixmpp(server, f"{ALICE}/desk", ALICE).come_online()
        bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
        carol = await Slixmpp(server, f"{CAROL}/desk", CAROL).come_online()
        for number in range(SAID):
            sender = carol if number % 11 == 10 else bob
            sender.say(ALICE, f"message {number}")
            await sender.settled()
        await alice.hears(CAROL, f"message {SAID - 1}")
    try:
        await page_with_slixmpp(alice)
        await page_with_xmpp_js(server, alice)
        await look_with_profanity(server, directory)
    finally:
        for client in (alice, bob, carol):
            await client.leave()


def same(found, expected):
    if found != expected:
        raise Failed(f"{found} instead of {expected}")


async def page_with_slixmpp(alice):
    heard = alice.bodies()
    of_carol = [body for body in heard if int(body.split()[1]) % 11 == 10]
    with step("slixmpp pages forwards and backwards, whatever the size of a page"):
        for size in (10, 7, 50, 1):
            same(await alice.archived(rsm={"max": size}), heard)
            same(await alice.archived(rsm={"max": size}, reverse=True), heard[::-1])

    with step("with one person, and none with a stranger"):
        same(await alice.archived(with_jid=CAROL, rsm={"max": 2}), of_carol)
        same(await alice.archived(with_jid=CAROL, rsm={"max": 2}, reverse=True), of_carol[::-1])
        same(await alice.archived(with_jid="nobody@localhost"), [])

    with step("from a time on, and until then"):
        before, after = (datetime.now(timezone.utc) + timedelta(minutes=minutes) for minutes in (-5, 5))
        same(await alice.archived(start=before, end=after, total=5), heard[:5])
        same(await alice.archived(end=before), [])

    with step("the ids of the archive are those that came with the messages (XEP-0359)"):
        pages = [message["mam_result"]["id"] async for message in alice["xep_0313"].iterate(rsm={"max": 10})]
        same(pages, [message["stanza_id"]["id"] for message in alice.messages])

    with step("and the first and the last of them stand in its metadata (§5)"):
        metadata = (await alice["xep_0313"].get_archive_metadata())["mam_metadata"]
        same([metadata["start"]["id"], metadata["end"]["id"]], [pages[0], pages[-1]])


async def page_with_xmpp_js(server, alice):
    with step("xmpp.js pages with its requests, both ways"):
        client = XmppJs(server, "alice", "laptop", ALICE)
        try:
            await client.start()
            same(await pages(client, {}, "after", "last"), alice.bodies())
            backwards = await pages(client, {"before": ""}, "before", "first")
            same(sorted(backwards), sorted(alice.bodies()))
            same(backwards[-3:], alice.bodies()[:3])  # The oldest page, itself in order.
        finally:
            await client.leave()


async def pages(client, place, next_place, from_here):
    """Everything, page by page; the results of a page come before its end (§4.2)."""
    found = []
    while True:
        since = len(client.told)
        client.do("page", max=10, **place)
        page = await client.tells("page", since)
        found += [one["body"] for one in client.told[since:] if one["event"] == "message"]
        if page["complete"]:
            return found
        place = {next_place: page[from_here]}


async def look_with_profanity(server, directory):
    with step("profanity looks for an archive where there is none, and says so"):
        profanity = Profanity(server, directory / "alice", ALICE, ALICE)
        try:
            await (await profanity.start()).log_in()
            await profanity.settled()
            profanity.type("/mam on")
            await profanity.shows("Message Archive Management enabled")
            profanity.type(f"/msg {BOB}")
            profanity.type("/win 1")
            await profanity.shows("Server doesn't support MAM")
        finally:
            await profanity.leave()
