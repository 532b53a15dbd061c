"""Alice and Bob talk while Alice's connection is lost, in every way a connection can be lost. What must hold
whichever client she has: both have every message once and in order, and her counts and the server's agree
(XEP-0198 §4, §5).

Her client has `say`, `bodies`, `settled`, `acknowledged` (all its stanzas were) and `unacknowledged` (how
many were not), `gone` (it knows that its connection is lost) and `come_back`."""

from waiting import Failed, step, until

ALICE, BOB = "alice@localhost", "bob@localhost"


async def start(server, *people):
    """The server, with accounts for these addresses; each one's password is the address."""
    await server.start()
    for jid in people:
        await server.add_user(jid.partition("@")[0], jid)


class Talk:
    """`link` is what Alice connects through; Bob is at slixmpp and stays online."""

    def __init__(self, alice, bob, link):
        self.alice, self.bob, self.link = alice, bob, link
        # What each of them said; what they heard before this talk does not count.
        self.by_alice, self.by_bob = [], []
        self.heard_by_alice, self.heard_by_bob = len(alice.bodies()), len(bob.bodies())

    def bob_says(self, count):
        for _ in range(count):
            self.by_bob.append(f"from Bob {len(self.by_bob)}")
            self.bob.say(ALICE, self.by_bob[-1])

    def alice_says(self, count):
        for _ in range(count):
            self.by_alice.append(f"from Alice {len(self.by_alice)}")
            self.alice.say(BOB, self.by_alice[-1])

    async def complete(self):
        """Both have everything, and the server has acknowledged all that Alice sent."""
        await self._has("Alice", self.alice, self.heard_by_alice, self.by_bob)
        await self._has("Bob", self.bob, self.heard_by_bob, self.by_alice)
        await self.alice.acknowledged()

    async def _has(self, name, client, before, said):
        def found():
            return client.bodies()[before:]
        await until(lambda: f"{name} heard {found()} instead of {said}", lambda: len(found()) >= len(said))
        await client.settled()
        if found() != said:
            raise Failed(f"{name} heard {found()} instead of {said}")

    async def lose(self, tell_server=False):
        """Alice's connection is gone, and she knows it."""
        self.link.cut(tell_server)
        await self.alice.gone()

    async def come_back(self):
        """The network is back, she resumes her session, and both have everything."""
        self.link.restore()
        await self.alice.come_back()
        await self.complete()

    async def reset(self, waiting):
        """Both ends see that the connection is gone."""
        with step(f"the connection is reset, {waiting} messages wait, the session is resumed"):
            self.bob_says(1)
            self.alice_says(1)
            await self.complete()
            await self.lose(tell_server=True)
            self.bob_says(waiting)
            await self.bob.settled()
            await self.come_back()

    async def swallow_what_bob_says(self):
        with step("what the server sent into a dead connection comes again, once"):
            self.link.deaf_client = True
            self.bob_says(5)
            await self.bob.settled()
            await self.lose()
            self.bob_says(5)
            await self.bob.settled()
            await self.come_back()

    async def swallow_what_alice_says(self):
        with step("what she sent into it she sends again, and it arrives once"):
            self.link.deaf_server = True
            self.alice_says(5)
            await until("her client did not send", lambda: self.alice.unacknowledged() == 5)
            await self.lose()
            await self.come_back()

    async def swallow_acknowledgements(self):
        with step("what arrived and was never acknowledged to her does not arrive twice"):
            self.link.deaf_client = True
            self.alice_says(5)
            await self.bob.hears(ALICE, self.by_alice[-1])
            await self.lose()
            await self.come_back()

    def stayed(self):
        with step("to everybody else she was there all the time (§5)"):
            if [presence for presence in self.bob.presences if presence["from"].bare == ALICE]:
                raise Failed(f"Bob saw {self.bob.presences}")
