"""The street: puts houses next to each other, so that they find and know one another, and ends what it
began.

    async with Street(home, directory) as street:
        friends = street.house(ProsodyHouse, "friends.example")
        await street.open()

`home` is the server that the journey was called with, at home.example. Its neighbours are called by what
they are for. Whoever opens a house may change its `terms` before."""

import asyncio
import contextlib

from slixmpp_client import Slixmpp
from waiting import Failed

from .authority import Authority
from .houses import S2S, S2S_TLS, Terms
from .names import Names

HOME = "home.example"
# What may stand before a domain: rooms and services of all the servers.
SERVICES = ("groupchat", "conference", "pubsub", "upload", "proxy")


class Street:
    def __init__(self, home, directory):
        self.directory = directory / "street"
        self.authority = Authority(self.directory / "authority")
        self.names = Names()
        self.houses, self.clients, self.closing = [], [], []
        self.home = home
        self._moves_in(home, HOME, Terms())

    def house(self, kind, domain, terms=None):
        """A neighbour, not yet running."""
        directory = self.directory / domain
        directory.mkdir()
        house = kind(directory)
        self._moves_in(house, domain, terms)
        return house

    def _moves_in(self, house, domain, terms):
        self.houses.append(house)
        house.moves_in(domain, f"127.0.0.{9 + len(self.houses)}", terms)
        house.ca = self.authority.ca
        house.issue = self._issue
        self.certify(house)
        self.publish(domain, house.host)
        for cottage in house.terms.cottages:
            self.publish(cottage.domain, house.host)

    def _issue(self, domain, kind):
        return self.authority.issue(domain, *(f"{name}.{domain}" for name in SERVICES), kind=kind)

    def certify(self, house, kind="valid"):
        """It shows a certificate of that kind from its next start."""
        house.certificate, house.key = self._issue(house.domain, kind)

    def publish(self, domain, host, direct=False, starttls=True):
        """Where a domain and its services are found: `host` with port 5269, and with 5270 for direct TLS
        (XEP-0368); as SRV records, by another name than the domain."""
        target = f"xmpp.{domain}"
        self.names.set(target, "A", host)
        for name in (domain, *(f"{service}.{domain}" for service in SERVICES)):
            for service, port, offered in (("xmpp-server", S2S, starttls), ("xmpps-server", S2S_TLS, direct)):
                self.names.set(f"_{service}._tcp.{name}", "SRV", *[(5, 0, port, target)] * offered)

    async def open(self, *localparts):
        """Starts everybody; each has an account for each localpart, whose password is the address."""
        await asyncio.gather(*(self.open_one(house, *localparts) for house in self.houses))

    async def open_one(self, house, *localparts):
        await house.start()
        for localpart in localparts:
            await house.add_user(localpart, f"{localpart}@{house.domain}")

    async def person(self, house, localpart, resource="desk", domain=None):
        """Somebody at slixmpp who comes online; ends with the street. `domain` is a cottage."""
        jid = f"{localpart}@{domain or house.domain}"
        client = Slixmpp(house, f"{jid}/{resource}", jid)
        for plugin in ("xep_0045", "xep_0054", "xep_0084", "xep_0163", "xep_0172", "xep_0191"):
            client.register_plugin(plugin)
        # slixmpp keeps what happens in a room apart.
        client.add_event_handler("groupchat_presence", client.presences.append)
        self.clients.append(client)
        return await client.come_online()

    def ends(self, thing):
        """`thing.close()` is called at the end. Returns it."""
        self.closing.append(thing)
        return thing

    async def __aenter__(self):
        await self.names.open()
        return self

    async def __aexit__(self, kind, failure, trace):
        neighbours = [house for house in self.houses if house is not self.home]
        tails = [f"the end of {house.domain}'s log:\n{house.tail()}" for house in neighbours]
        for client in self.clients:
            with contextlib.suppress(Failed):
                await client.leave()
        for thing in self.closing:
            thing.close()
        await asyncio.gather(*(house.stop() for house in neighbours), return_exceptions=True)
        self.names.close()
        if isinstance(failure, Failed):
            raise Failed("\n".join([str(failure), *tails])) from failure
