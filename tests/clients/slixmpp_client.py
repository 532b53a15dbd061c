"""A person at slixmpp, the client library that many bots and bridges are made of. It verifies the server's
certificate against the server's CA file alone, and remembers everything it is sent, so that a journey can
wait for it."""

import asyncio
import ssl

from slixmpp import ClientXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from waiting import Failed, until


class Slixmpp(ClientXMPP):
    """`jid` may carry a resource. `mechanism` keeps it to one SASL mechanism, `tls` to one version of TLS.
    `by_https` is direct TLS on the port of the web, where ALPN alone says what it wants. `link` is what it
    connects through, `managed` asks for stream management (XEP-0198)."""

    def __init__(self, server, jid, password, mechanism=None, direct_tls=False, by_https=False, tls=None,
                 ca=None, link=None, managed=False):
        trusted = ssl.create_default_context(cafile=ca or server.ca)
        if tls:
            trusted.minimum_version = trusted.maximum_version = tls
        super().__init__(jid, password, sasl_mech=mechanism, ssl_context=trusted)
        self.domain = server.domain
        direct_tls = direct_tls or by_https
        direct_port = server.https if by_https else server.c2s_tls
        self.address = (server.host, link.port if link else direct_port if direct_tls else server.c2s)
        self.enable_direct_tls, self.enable_starttls = direct_tls, not direct_tls
        if direct_tls:
            trusted.set_alpn_protocols(["xmpp-client"])
        # People decide about requests themselves.
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        self.messages, self.presences, self.failures, self.stream_errors = [], [], [], []
        # Messages that came back.
        self.returned = []
        # Stream features as the server showed them one after another, with what is inside where it matters.
        self.offers = []
        self.no_tls = None
        self.alpn = None
        for plugin in ("xep_0012", "xep_0030", "xep_0092", "xep_0115", "xep_0199", "xep_0202", "xep_0203",
                       "xep_0280", "xep_0313", "xep_0359", "xep_0494"):
            self.register_plugin(plugin)
        if managed:
            # It asks for an acknowledgement after every stanza.
            self.register_plugin("xep_0198", {"window": 1})
        self.add_event_handler("message", self.messages.append)
        self.add_event_handler("message_error", self.returned.append)
        self.add_event_handler("presence", self.presences.append)
        # Copies of what another resource got and sent (XEP-0280).
        self.copies = []
        for copied in ("carbon_received", "carbon_sent"):
            self.add_event_handler(copied, lambda message, copied=copied: self.copies.append(
                (copied, message[copied]["body"])))
        self.add_event_handler("failed_auth", lambda failure: self.failures.append(failure["condition"]))
        self.add_event_handler("stream_error", lambda error: self.stream_errors.append(error["condition"]))
        self.add_event_handler("ssl_invalid_chain", self._no_tls)
        self.add_event_handler("connection_failed", self._no_tls)
        self.register_handler(Callback(
            "what is offered", MatchXPath("{%s}features" % self.stream_ns), self._remember_features))

    async def log_in(self):
        """Until the session is bound; no presence yet. Returns self."""
        await self.try_to_log_in()
        if not self.sessionstarted:
            raise Failed(f"{self.requested_jid} was not let in: {self.failures or self.no_tls}")
        return self

    async def try_to_log_in(self):
        """Until the session is bound, or refused."""
        ended = asyncio.Event()
        for event in ("session_start", "failed_all_auth", "disconnected", "ssl_invalid_chain",
                      "connection_failed"):
            self.add_event_handler(event, lambda _: ended.set(), disposable=True)
        self.connect(*self.address)
        try:
            await asyncio.wait_for(ended.wait(), 30)
        except asyncio.TimeoutError:
            raise Failed(f"{self.requested_jid}: no end of the negotiation within 30 s") from None
        if self.socket is not None:
            self.alpn = getattr(self.socket, "selected_alpn_protocol", lambda: None)()
        if not self.sessionstarted:
            self.cancel_connection_attempt()
            await self.leave()

    async def come_back(self, link=None, direct_tls=None):
        """Comes back into the session that lost its connection (XEP-0198 §5), maybe by another way."""
        answer = asyncio.get_running_loop().create_future()
        for event in ("session_resumed", "sm_failed", "disconnected"):
            self.add_event_handler(event, lambda _, event=event: answer.done() or answer.set_result(event),
                                   disposable=True)
        if link:
            self.address = (link.host, link.port)
        if direct_tls is not None:
            self.enable_direct_tls, self.enable_starttls = direct_tls, not direct_tls
        self.connect(*self.address)
        try:
            found = await asyncio.wait_for(answer, 30)
        except asyncio.TimeoutError:
            found = "no answer within 30 s"
        if found != "session_resumed":
            raise Failed(f"{self.boundjid} did not come back into its session: {found}")

    async def acknowledged(self):
        """Waits until the server has taken over everything that was sent (XEP-0198 §4): the counts agree."""
        counts = self["xep_0198"]
        counts.request_ack()
        await until(lambda: f"{self.boundjid} sent {counts.seq} stanzas; {counts.last_ack} are acknowledged",
                    lambda: not counts.unacked_queue and counts.last_ack == counts.seq)

    async def devices(self):
        """What has access to the account (XEP-0494)."""
        return await self["xep_0494"].get_clients()

    def unacknowledged(self):
        """How many stanzas it sent that the server has not yet taken over."""
        return len(self["xep_0198"].unacked_queue)

    def bodies(self):
        """What was said to it so far, in order."""
        return [message["body"] for message in self.messages]

    async def come_online(self, **presence):
        """Logs in, asks for the roster, and is available. Returns self."""
        await self.log_in()
        await self.get_roster()
        self.send_presence(**presence)
        return self

    async def leave(self):
        """Closes the stream; whether the server did so too is `closed_by_both` afterwards."""
        if self.is_connected():
            await self.disconnect(wait=5)
            await until(f"{self.boundjid} cannot leave", lambda: not self.is_connected())

    @property
    def closed_by_both(self):
        return self.disconnect_reason == "End of stream"

    async def gone(self):
        """Waits until the server is no longer there."""
        await until(f"{self.boundjid} is still connected", lambda: not self.is_connected())

    async def settled(self):
        """What the server sent because of what went before has arrived: it answers in order."""
        await self["xep_0199"].send_ping(self.domain)

    def say(self, to, body):
        self.send_message(mto=to, mbody=body, mtype="chat")

    async def archived(self, **what):
        """The bodies in one's own archive, in the order of the pages (XEP-0313, XEP-0059)."""
        found = []
        async for message in self["xep_0313"].iterate(**what):
            found.append(message["mam_result"]["forwarded"]["stanza"]["body"])
        return found

    async def hears(self, sender, body):
        """Waits for a message; returns it."""
        def heard():
            return next((m for m in self.messages if m["from"].bare == sender and m["body"] == body), None)
        return await until(lambda: f"{self.boundjid} did not hear {body!r} from {sender}, but "
                           f"{[(str(m['from']), m['body']) for m in self.messages]}", heard)

    async def gets_back(self, contact, condition, seconds=30):
        """Waits until a message to this address comes back for that reason; returns it."""
        def refused():
            return next((m for m in self.returned
                         if m["from"].bare == contact and m["error"]["condition"] == condition), None)
        return await until(lambda: f"{self.boundjid} got no {condition} from {contact}, but "
                           f"{[(str(m['from']), m['error']['condition']) for m in self.returned]}",
                           refused, seconds)

    async def sees(self, contact, kind, **wanted):
        """Waits for presence from a bare JID; its kind is the type or, slixmpp's way, what <show/> says."""
        def seen():
            return next((p for p in self.presences if p["from"].bare == contact and p["type"] == kind
                         and all(p[key] == value for key, value in wanted.items())), None)
        return await until(lambda: f"{self.boundjid} did not see {kind} {wanted or ''} from {contact}, but "
                           f"{[(str(p['from']), p['type'], p['status']) for p in self.presences]}", seen)

    async def has_contact(self, contact, subscription):
        """Waits until the roster says so, as pushed or fetched."""
        await until(lambda: f"{self.boundjid} has {contact} as {self.client_roster[contact]['subscription']}",
                    lambda: self.client_roster[contact]["subscription"] == subscription)

    def forget(self):
        """What was heard and seen so far counts no more."""
        self.messages.clear()
        self.returned.clear()
        self.presences.clear()

    def _remember_features(self, features):
        offer = dict.fromkeys(features["features"])
        if "mechanisms" in offer:
            offer["mechanisms"] = set(features["mechanisms"])
        if "caps" in offer:
            offer["caps"] = features["caps"]
        self.offers.append(offer)

    def _no_tls(self, error):
        self.no_tls = str(error)
        self.cancel_connection_attempt()
