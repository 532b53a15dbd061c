"""Bridges to other networks (XEP-0114, XEP-0356): a gateway at slixmpp, which acts for Bob as those do that
people run for their other messengers, and biboumi, the gateway to IRC that Debian has."""

import asyncio
import subprocess
from xml.etree import ElementTree as ET

from slixmpp import ComponentXMPP
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0060.stanza import Item

from slixmpp_client import Slixmpp
from talk import BOB, start
from waiting import Failed, step, until

SERVERS = ("hearth",)

ECHO, IRC = "echo.localhost", "irc.localhost"
ROMEO = f"romeo@{ECHO}"
CONFIGURATION = f"""
[components]
"{ECHO}" = "one"
"{IRC}" = "two"
[privileges]
"{ECHO}" = ["gateway"]
"""


async def go(server, directory):
    server.further = CONFIGURATION
    with step("the server starts with two components in its configuration, and Bob comes online"):
        await start(server, BOB)
        bob = Slixmpp(server, f"{BOB}/desk", BOB)
        for plugin in ("xep_0050", "xep_0060"):
            bob.register_plugin(plugin)
        await bob.come_online()
    gateway = None
    try:
        with step("neither is listed while it is not there"):
            if {ECHO, IRC} & await services(bob):
                raise Failed("they are")
        gateway = await come_in(server)
        await talk(bob, gateway)
        await act_for_bob(bob, gateway)
        gateway = await come_back(server, bob, gateway)
        await irc(server, bob, directory)
    finally:
        if gateway:
            await gateway.leave()
        await bob.leave()


class Gateway(ComponentXMPP):
    """Says what it hears."""

    def __init__(self, server, secret):
        super().__init__(ECHO, secret, server.host, server.component)
        for plugin in ("xep_0030", "xep_0060", "xep_0199", "xep_0356"):
            self.register_plugin(plugin)
        self.heard, self.presences, self.errors = [], [], []
        self.started, self.gone, self.privileged = (asyncio.Event() for _ in range(3))
        self.add_event_handler("session_start", lambda _: self.started.set())
        self.add_event_handler("disconnected", lambda _: self.gone.set())
        self.add_event_handler("privileges_advertised", lambda _: self.privileged.set())
        self.add_event_handler("stream_error", lambda error: self.errors.append(error["condition"]))
        self.add_event_handler("presence", self.presences.append)
        self.add_event_handler("message", self.hear)

    def hear(self, message):
        if message["type"] == "chat" and message["body"]:
            self.heard.append((message["from"].bare, message["body"]))
            if message["from"].resource:
                message.reply(message["body"].upper()).send()

    async def leave(self):
        self.cancel_connection_attempt()
        await self.disconnect()


async def services(bob):
    items = await bob["xep_0030"].get_items(jid="localhost")
    return {jid for jid, _, _ in items["disco_items"]["items"]}


async def come_in(server):
    with step("a gateway with the wrong secret is refused"):
        wrong = Gateway(server, "two")
        wrong.connect()
        await until("it heard nothing of it", lambda: wrong.errors)
        await wrong.leave()
        if wrong.errors[0] != "not-authorized" or wrong.started.is_set():
            raise Failed(f"it was told {wrong.errors}")
    with step("with the right one it comes in, and is told what it may do"):
        gateway = Gateway(server, "one")
        gateway.connect()
        await asyncio.wait_for(gateway.started.wait(), 20)
        await asyncio.wait_for(gateway.privileged.wait(), 20)
    return gateway


async def talk(bob, gateway):
    with step("Bob finds it, and asks it what it is"):
        gateway["xep_0030"].add_identity(category="gateway", itype="echo", name="Echo")
        if ECHO not in await services(bob):
            raise Failed("it is not listed")
        info = await bob["xep_0030"].get_info(jid=ECHO)
        if ("gateway", "echo") not in {(one[0], one[1]) for one in info["disco_info"]["identities"]}:
            raise Failed(f"it says {info}")
    with step("what he writes to somebody behind it arrives, and so does the answer"):
        bob.say(ROMEO, "hello")
        await bob.hears(ROMEO, "HELLO")


async def act_for_bob(bob, gateway):
    acting = gateway["xep_0356"]
    with step("it puts a contact of his other network into his list, without a question to him"):
        await acting.set_roster(BOB, {ROMEO: {"name": "Romeo", "subscription": "both", "groups": ["Echo"]}})
        await until("Bob's list does not have it", lambda: bob.client_roster[ROMEO]["subscription"] == "both")
        await until("Bob's presence does not come", lambda: gateway.presences)
        items = (await acting.get_roster(BOB))["roster"]["items"]
        if {str(jid): item["name"] for jid, item in items.items()} != {ROMEO: "Romeo"}:
            raise Failed(f"the list is {items}")
    with step("what he wrote with his other app is in his conversation here"):
        await bob["xep_0280"].enable()
        message = gateway.make_message(mto=ROMEO, mfrom=BOB, mbody="from my other app", mtype="chat")
        acting.send_privileged_message(message)
        await until(lambda: f"Bob's copies are {bob.copies}",
                    lambda: ("carbon_sent", "from my other app") in bob.copies)
    with step("it keeps a list of rooms for him (XEP-0402), and nothing that it may not"):
        iq = gateway.make_iq_set(ito=BOB, ifrom=BOB)
        publish = iq["pubsub"]["publish"]
        publish["node"] = "urn:xmpp:bookmarks:1"
        item = Item()
        item["id"] = f"room@{ECHO}"
        item["payload"] = ET.fromstring("<conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/>")
        publish.append(item)
        await acting.send_privileged_iq(iq)
        kept = await bob["xep_0060"].get_items(BOB, "urn:xmpp:bookmarks:1")
        if [item["id"] for item in kept["pubsub"]["items"]] != [f"room@{ECHO}"]:
            raise Failed(f"his list is {kept}")
        gateway["xep_0356"].granted_privileges["localhost"].iq["jabber:iq:roster"] = "both"
        iq = gateway.make_iq_get(queryxmlns="jabber:iq:roster", ito=BOB, ifrom=BOB)
        try:
            await acting.send_privileged_iq(iq)
        except IqError as error:
            if "<forbidden" not in str(error.iq):
                raise Failed(f"it was told {error.iq}") from None
        else:
            raise Failed("it could ask for what it may not")


async def come_back(server, bob, gateway):
    with step("while it is away it is not listed, and what Bob writes waits for it"):
        await gateway.leave()
        await asyncio.wait_for(gateway.gone.wait(), 20)
        bob.say(ROMEO, "are you there")
        if ECHO in await services(bob):
            raise Failed("it is listed")
    with step("when it comes back, it gets that and nothing twice"):
        again = Gateway(server, "one")
        again.connect()
        await bob.hears(ROMEO, "ARE YOU THERE")
        if again.heard != [(BOB, "are you there")]:
            raise Failed(f"it heard {again.heard}")
    return again


async def irc(server, bob, directory):
    configuration = directory / "biboumi.cfg"
    configuration.write_text(
        f"hostname={IRC}\npassword=two\nxmpp_server_ip={server.host}\nport={server.component}\n"
        f"db_name={directory / 'biboumi.sqlite'}\nlog_level=1\nlog_file={directory / 'biboumi.log'}\n"
        "identd_port=0\n")
    biboumi = await asyncio.create_subprocess_exec(
        "biboumi", str(configuration), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        with step("biboumi comes in and is listed"):
            for _ in range(200):
                if IRC in await services(bob):
                    break
                await asyncio.sleep(0.1)
            else:
                raise Failed("it is not listed")
        with step("it answers Bob: what it is, and what can be done there (XEP-0030, XEP-0050)"):
            info = await bob["xep_0030"].get_info(jid=IRC)
            categories = {one[0] for one in info["disco_info"]["identities"]}
            if "conference" not in categories:
                raise Failed(f"it is {categories}")
            commands = await bob["xep_0050"].get_commands(IRC)
            if not commands["disco_items"]["items"]:
                raise Failed("it has no commands")
    finally:
        if biboumi.returncode is None:
            biboumi.terminate()
        await biboumi.wait()
