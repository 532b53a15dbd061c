"""Our server goes, in order or killed, while messages wait for a neighbour who does not answer. When it is
back, they arrive as soon as he answers again; or their sender, who is back too, is told."""

from federation.faults import Line
from federation.houses import Terms
from federation.people import Again
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step, until

# Others forget what waits when they are killed.
SERVERS = ("hearth",)

MESSAGES = 5
# A call that is not answered, the rest after it, and another call.
PATIENTLY = 90.0


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("ours starts, and Prosody behind a line that will go bad"):
            friends = street.house(ProsodyHouse, "friends.example", Terms(bidi=False))
            line = street.ends(await Line("127.0.1.11", friends.host).open())
            street.publish(friends.domain, line.host)
            await street.open("alice", "bob")
            bob = await street.person(friends, "bob")
        for words, end in (("is stopped", home.stop), ("is killed", home.kill)):
            await arrive(street, home, bob, line, words, end)
        for words, end in (("is stopped", home.stop), ("is killed", home.kill)):
            await come_back(street, home, bob, line, words, end)


async def wait(street, home, bob, line, words, end):
    """Alice writes to Bob, whose server does not answer, and ours goes. Returns what she wrote, and her
    client after the restart."""
    alice = await street.person(home, "alice")
    # Nobody calls at once where nobody answered.
    await until("nothing arrives", Again(alice, bob), PATIENTLY)
    alice.forget()
    line.answers.clear()
    line.reset()
    calls = line.connections
    said = [f"{number} before ours {words}" for number in range(MESSAGES)]
    bob.forget()
    for text in said:
        alice.say(bob.boundjid.bare, text)
    # Her server has them: it answers in order, and what it answered to is on the disk.
    await alice.update_roster(bob.boundjid.bare, name=words)
    await until("our server does not call", lambda: line.connections > calls)
    await end()
    await alice.gone()
    await home.start()
    return said, await street.person(home, "alice")


async def arrive(street, home, bob, line, words, end):
    with step(f"{MESSAGES} messages wait, ours {words}, and they arrive in order when the neighbour answers"):
        said, alice = await wait(street, home, bob, line, words, end)
        line.answers.set()
        await bob.hears(alice.boundjid.bare, said[-1])
        if bob.bodies() != said:
            raise Failed(f"he heard {bob.bodies()}")
        if not all(message["delay"]["stamp"] for message in bob.messages):
            raise Failed("what waited does not say since when (XEP-0203)")
        await alice.leave()


async def come_back(street, home, bob, line, words, end):
    with step(f"{MESSAGES} messages wait, ours {words}, the neighbour is gone and stays away: she is told of each"):
        said, alice = await wait(street, home, bob, line, words, end)
        line.dead = True
        line.reset()
        await until(lambda: f"of {MESSAGES} came back {len(alice.returned)}: {alice.returned}",
                    lambda: len(alice.returned) >= MESSAGES, PATIENTLY)
        wrong = [m for m in alice.returned if not m["error"]["condition"].startswith("remote-server-")]
        if wrong or len(alice.returned) > MESSAGES or bob.messages:
            raise Failed(f"came back: {alice.returned}")
        line.dead = False
        line.answers.set()
        await alice.leave()
