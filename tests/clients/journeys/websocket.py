"""xmpp.js comes in over a WebSocket (RFC 7395) where host-meta says that there is one (XEP-0156), by every way of
logging in that it knows; it chats with slixmpp on a port of its own, in a room, and finds its session again."""

import asyncio
import json
import ssl
import urllib.request

from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until
from xmpp_js import XmppJs

SERVERS = ("hearth",)


async def go(server, directory):
    await start(server, ALICE, BOB)
    with step("host-meta names it, as XML and as JSON, for pages from anywhere"):
        await asyncio.to_thread(look_up, server)
    bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
    try:
        for way, plain in (("SASL, binding, stream management", True), ("SASL2 and Bind 2", False)):
            with step(f"xmpp.js logs in over the WebSocket: {way}"):
                alice = await XmppJs(server, "alice", "page", ALICE, web=True, plain=plain).come_online()
            try:
                with step("and chats with somebody who came another way"):
                    await chat(alice, bob)
            finally:
                await alice.leave()
        with step("a message of 200 kB goes both ways"):
            alice = await XmppJs(server, "alice", "page", ALICE, web=True).come_online()
            try:
                long = "x" * 200_000
                alice.say(bob.boundjid.full, long)
                await until("Bob did not get it", lambda: long in bob.bodies())
                bob.say(f"alice@{server.domain}/page", long)
                await alice.tells("message", body=long)
            finally:
                await alice.leave()
    finally:
        await bob.leave()


async def chat(alice, bob):
    bob.forget()
    text = "I <3 \u00fcber & \U0001f389"
    alice.say(bob.boundjid.bare, text)
    await until("Bob did not hear", lambda: text in bob.bodies())
    bob.say(alice.jid, text + "!")
    await alice.tells("message", body=text + "!")


def look_up(server):
    trust = ssl.create_default_context(cafile=str(server.ca))
    base = f"https://{server.domain}:{server.https}/.well-known/host-meta"
    wanted = f"wss://{server.domain}:{server.https}/xmpp-websocket"
    for address, found in ((base, lambda text: wanted in text),
                           (base + ".json", lambda text: wanted in [one["href"] for one in json.loads(text)["links"]])):
        with urllib.request.urlopen(address, context=trust, timeout=20) as answer:
            if answer.headers["Access-Control-Allow-Origin"] != "*" or not found(answer.read().decode()):
                raise Failed(f"{address} says something else")
