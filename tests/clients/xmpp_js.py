"""A person at @xmpp/client ("xmpp.js"), the library that web clients and bots in JavaScript are made of, in
a process of its own (xmpp_js.mjs). It verifies the server's certificate against the server's CA file, logs
in with SASL2, Bind 2 and a token (XEP-0388, XEP-0386, XEP-0484) where the server offers them, and comes
back by itself when its connection is lost."""

import asyncio
import json
import os
import subprocess
from pathlib import Path

from waiting import LOOK_EVERY, until

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parents[1] / "target/clients/xmpp.js/node_modules/@xmpp/client/index.js"
# One installation, as XEP-0388 §2.3 wants it.
INSTALLATION = "d4565fa7-4d72-4749-b3d3-740edbf87770"


class XmppJs:
    """`token` is one that an earlier process was given; `plain` keeps it away from SASL2; `web` has it come over
    a WebSocket (RFC 7395)."""

    def __init__(self, server, localpart, resource, password=None, link=None, token=None, plain=False,
                 web=False):
        self.server = server
        self.jid = f"{localpart}@{server.domain}"
        self.settings = {
            "service": f"wss://{server.domain}:{link.port if link else server.https}/xmpp-websocket" if web
            else f"xmpp://{server.host}:{link.port if link else server.c2s}", "domain": server.domain,
            "username": localpart, "resource": resource, "password": password, "token": token, "plain": plain,
            "installation": INSTALLATION}
        # Everything it told, in order.
        self.told = []
        self.process = self.reading = None
        # How much of that it told before its last return; how much it had sent when all was acknowledged.
        self.back = self.sent = 0

    async def start(self):
        """Until it is online. Returns self."""
        self.process = await asyncio.create_subprocess_exec(
            "node", HERE / "xmpp_js.mjs", LIBRARY, json.dumps(self.settings),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=subprocess.STDOUT, limit=1_000_000,
            env={"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(self.server.ca)})
        self.reading = asyncio.ensure_future(self._read())
        await self.tells("online")
        return self

    async def come_online(self):
        await self.start()
        self.do("presence")
        return self

    def do(self, what, **how):
        self.process.stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")

    def say(self, to, body):
        self.do("say", to=to, body=body)

    async def tells(self, event, since=0, **wanted):
        """Waits for something it tells, behind the first `since` things; returns that."""
        def told():
            return next((one for one in self.told[since:] if one["event"] == event
                         and all(one.get(key) == value for key, value in wanted.items())), None)
        return await until(lambda: f"xmpp.js of {self.jid} did not tell {event} {wanted or ''}, but "
                           f"{self.told[since:]}", told)

    def bodies(self):
        """What was said to it so far, in order; not what came out of an archive."""
        return [one["body"] for one in self.told if one["event"] == "message" and not one["archived"]]

    def asked(self, since=0):
        """What it asked for in its negotiations: (name, mechanism, what was inside)."""
        return [(one["name"], one.get("mechanism"), one["inside"]) for one in self.told[since:]
                if one["event"] == "asks"]

    async def settled(self):
        """What the server sent because of what went before has arrived: it answers in order. Not by a ping:
        this version does not count the answers to its own requests (XEP-0198 §4), so that every server sends
        again what it had already."""
        since = len(self.told)
        self.do("settle")
        await self.tells("acknowledgement", since)

    async def counts(self):
        """Its counts of XEP-0198."""
        since = len(self.told)
        self.do("counts")
        return await self.tells("counts", since)

    async def acknowledged(self):
        """Waits until the server has taken over everything that was sent (XEP-0198 §4)."""
        while (await self.counts())["waiting"]:
            await asyncio.sleep(LOOK_EVERY)
        self.sent = self._sent()

    def unacknowledged(self):
        """How many messages it sent since everything was acknowledged."""
        return self._sent() - self.sent

    def _sent(self):
        return len([one for one in self.told if one["event"] == "sent"])

    async def gone(self):
        """Waits until it knows that its connection is lost."""
        await self.tells("disconnect", self.back)

    async def come_back(self):
        """Waits until it is in its session again; it tries all the time."""
        resumed = await self.tells("resumed", self.back)
        self.back = self.told.index(resumed, self.back) + 1

    async def leave(self):
        if self.process is None:
            return
        if self.process.returncode is None:
            self.do("leave")
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        await self.reading

    async def _read(self):
        async for line in self.process.stdout:
            try:
                self.told.append(json.loads(line))
            except ValueError:
                # Something went wrong inside it.
                self.told.append({"event": "says", "text": line.decode(errors="replace").rstrip()})
