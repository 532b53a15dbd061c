"""Alice is at home, Bob at a neighbour's: first at Prosody, then at ejabberd. They write to each other, become
contacts, see each other come and go, and ask each other's clients and servers."""

from federation.ejabberd import EjabberdHouse
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("three servers start: ours, Prosody next door, ejabberd behind it"):
            friends = street.house(ProsodyHouse, "friends.example")
            office = street.house(EjabberdHouse, "office.example")
            await street.open("alice", "bob")
        for neighbour in (friends, office):
            print(f"  {neighbour.domain} ({neighbour.name})", flush=True)
            await visit(street, home, neighbour)


async def visit(street, home, neighbour):
    alice = await street.person(home, "alice")
    bob = await street.person(neighbour, "bob")
    with step("they write to each other"):
        alice.say(bob.boundjid.bare, "Hello over there")
        await bob.hears(alice.boundjid.bare, "Hello over there")
        bob.say(alice.boundjid.bare, "Good morning & <3")
        await alice.hears(bob.boundjid.bare, "Good morning & <3")
    await alice.leave()
    await bob.leave()
