"""xmpp.js comes in over a WebSocket (RFC 7395) where host-meta says that there is one (XEP-0156), by every way of
logging in that it knows; it chats with slixmpp on a port of its own, in a room, and finds its session again after
its connection was lost. Frames made by hand ask whether anybody is there, and say what is wrong."""

import asyncio
import base64
import json
import ssl
import urllib.request

import aiohttp

from link import Link
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, Talk, start
from waiting import SECONDS, Failed, step, until
from xmpp_js import XmppJs

SERVERS = ("hearth",)


async def go(server, directory):
    server.used += ("https",)
    await start(server, ALICE, BOB)
    with step("host-meta names it, as XML and as JSON, for pages from anywhere"):
        await asyncio.to_thread(look_up, server)
    with step("what is no frame of the protocol gets the error that says so, and a goodbye"):
        await be_told_no(server)
    with step("a ping of the WebSocket is answered, and one of XMPP; goodbye is said on both"):
        await ask_whether_anybody_is_there(server)
    bob = Slixmpp(server, f"{BOB}/desk", BOB)
    bob.register_plugin("xep_0045")
    await bob.come_online()
    try:
        await lose_and_return(server, bob)
        await meet(server, bob)
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


async def lose_and_return(server, bob):
    """Through a tunnel, as with every other way in."""
    link = await Link(server.host, server.https).open()
    alice = await XmppJs(server, "alice", "page", ALICE, link=link, web=True).come_online()
    try:
        await bob.settled()
        bob.forget()
        talk = Talk(alice, bob, link)
        for waiting in (3, 0):
            await talk.reset(waiting)
        await talk.swallow_what_bob_says()
        await talk.swallow_acknowledgements()
        talk.stayed()
    finally:
        await alice.leave()
        link.close()


async def meet(server, bob):
    """In a room that Bob makes as it comes."""
    room = "page@groupchat.localhost"
    alice = await XmppJs(server, "alice", "page", ALICE, web=True).come_online()
    try:
        with step("both are in a room, and hear each other there"):
            await bob["xep_0045"].join_muc_wait(room, "Bob", timeout=20)
            form = await bob["xep_0045"].get_room_config(room)
            form["type"] = "submit"
            await bob["xep_0045"].set_room_config(room, form)
            alice.do("enter", room=room, nick="Alice")
            await alice.tells("presence", **{"from": f"{room}/Alice", "type": None})
            alice.do("say", to=room, body="Soup \U0001f372", type="groupchat")
            await bob.hears(room, "Soup \U0001f372")
            bob.send_message(mto=room, mbody="I do & <3", mtype="groupchat")
            await alice.tells("message", body="I do & <3", **{"from": f"{room}/Bob"})
    finally:
        await alice.leave()


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


FRAMING = "urn:ietf:params:xml:ns:xmpp-framing"
OPEN = f"<open xmlns='{FRAMING}' to='localhost' version='1.0'/>"
STANZA = "<presence xmlns='jabber:client'/>"
# What is sent, and what the server has to say to it (RFC 7395 §3.3, RFC 6120 §4.9.3).
WRONG = (
    ([STANZA], "not-well-formed|invalid-namespace|unsupported-stanza-type|bad-format"),
    ([OPEN.replace(FRAMING, "jabber:client")], "invalid-namespace"),
    (["<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='localhost'>"],
     "not-well-formed|unsupported-stanza-type|bad-format"),
    ([OPEN.replace("localhost", "nowhere.example")], "host-unknown"),
    ([OPEN, STANZA], "not-authorized"),
    ([OPEN, STANZA + STANZA], "not-well-formed"),
    ([OPEN, "<message xmlns='jabber:client'>"], "not-well-formed"),
    ([OPEN, " " + STANZA], "bad-format|not-well-formed"),
    ([OPEN, "<a>&undefined;</a>"], "not-well-formed|restricted-xml|bad-format"),
    ([OPEN, f"<close xmlns='{FRAMING}'/>"], None),
)


# The same, and the code of the goodbye, of what is wrong on the layer of the WebSocket.
WRONG_FRAMES = (
    ([OPEN, STANZA.encode()], "bad-format", 1003),
    ([OPEN, OPEN + " " * 10_000], "policy-violation", 1009),
)


def web_socket(server):
    """Where it is, and whose certificate is to be believed there."""
    return (f"wss://{server.domain}:{server.https}/xmpp-websocket",
            ssl.create_default_context(cafile=str(server.ca)))


async def ask_whether_anybody_is_there(server):
    address, trust = web_socket(server)
    proof = base64.b64encode(f"\0alice\0{ALICE}".encode()).decode()
    ping = f"<iq xmlns='jabber:client' type='get' id='p1' to='{server.domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
    bind = "<iq xmlns='jabber:client' type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{proof}</auth>"
    async with aiohttp.ClientSession() as session, session.ws_connect(
            address, ssl=trust, protocols=["xmpp"], autoping=False, autoclose=False) as socket:
        async def hears(kind, wanted):
            while True:
                frame = await socket.receive(SECONDS)
                if frame.type == kind and wanted in frame.data:
                    return
                if frame.type != aiohttp.WSMsgType.TEXT:
                    raise Failed(f"{frame} instead of {wanted}")
        for said in (OPEN, auth, OPEN, bind):
            await socket.send_str(said)
        await hears(aiohttp.WSMsgType.TEXT, "<jid>")
        await socket.ping(b"there?")
        await hears(aiohttp.WSMsgType.PONG, b"there?")
        await socket.send_str(ping)
        await hears(aiohttp.WSMsgType.TEXT, "id='p1'")
        await socket.send_str(f"<close xmlns='{FRAMING}'/>")
        await hears(aiohttp.WSMsgType.TEXT, "<close ")
        goodbye = await socket.receive(SECONDS)
        if (goodbye.type, goodbye.data) != (aiohttp.WSMsgType.CLOSE, 1000):
            raise Failed(f"instead of a goodbye came {goodbye}")


async def be_told_no(server):
    address, trust = web_socket(server)
    async with aiohttp.ClientSession() as session:
        for sent, expected, code in (*((*row, 1000) for row in WRONG), *WRONG_FRAMES):
            async with session.ws_connect(address, ssl=trust, protocols=["xmpp"]) as socket:
                for frame in sent:
                    await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_str(frame))
                said = [frame.data async for frame in socket if frame.type == aiohttp.WSMsgType.TEXT]
                text = " ".join(said)
                if not said or not said[0].startswith("<open ") or not said[-1].startswith("<close "):
                    raise Failed(f"{sent}: {said}, closed with {socket.close_code}")
                if (expected is None) != ("stream:error" not in text) or expected and not any(
                        f"<{one} " in text for one in expected.split("|")):
                    raise Failed(f"{sent}: {said}")
                if socket.close_code != code:
                    raise Failed(f"{sent}: closed with {socket.close_code}")
        try:
            await session.ws_connect(address, ssl=trust)
            raise Failed("a WebSocket of no protocol stands")
        except aiohttp.WSServerHandshakeError as error:
            if error.status != 400:
                raise Failed(f"{error.status} for a WebSocket of no protocol") from None
        # One key is as good as another.
        headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
                   "Sec-WebSocket-Protocol": "xmpp", "Sec-WebSocket-Key": "a" * 48}
        async with session.get(address.replace("wss", "https"), headers=headers, ssl=trust) as answer:
            if answer.status != 101:
                raise Failed(f"{answer.status} for a long key")
