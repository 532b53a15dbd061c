"""Alice is at home, Bob at a neighbour's: first at Prosody, then at ejabberd. They write to each other,
become contacts, see each other come and go, ask each other's clients and servers, and block each other."""

from slixmpp.exceptions import IqError, IqTimeout

from federation.ejabberd import EjabberdHouse
from federation.people import befriend, greet
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step

SERVERS = ("hearth", "prosody")


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("three servers start: ours, Prosody next door, ejabberd behind it"):
            neighbours = (street.house(ProsodyHouse, "friends.example"),
                          street.house(EjabberdHouse, "office.example"))
            await street.open("alice", "bob")
        for neighbour in neighbours:
            print(f"  {neighbour.domain} ({neighbour.name})", flush=True)
            await visit(street, home, neighbour)


async def visit(street, home, neighbour):
    alice = await street.person(home, "alice")
    bob = await street.person(neighbour, "bob")
    try:
        with step("they write to each other"):
            await greet(alice, bob, "Hello <3 & 🐦")
        await befriend(alice, bob)
        await see(alice, bob)
        await question(home, neighbour, alice, bob)
        await nobody(home, neighbour, alice, bob)
        bob = await while_away(street, neighbour, bob, alice, "away")
        alice = await while_away(street, home, alice, bob, "available")
        await block(alice, bob, neighbour)
        await part(alice, bob)
    except (IqError, IqTimeout) as error:
        raise Failed(f"instead of an answer came {error.iq}") from error
    await alice.leave()
    await bob.leave()


async def see(alice, bob):
    with step("each sees what the other is doing"):
        alice.send_presence(pshow="away", pstatus="making tea")
        await bob.sees(alice.boundjid.bare, "away", status="making tea")
        bob.send_presence(pshow="dnd", pstatus="writing a letter")
        await alice.sees(bob.boundjid.bare, "dnd", status="writing a letter")


async def question(home, neighbour, alice, bob):
    for one, other, server in ((alice, bob, neighbour), (bob, alice, home)):
        who = one.boundjid.user
        with step(f"{who} asks the other's client: ping, software (XEP-0199, 0092)"):
            await one["xep_0199"].send_ping(other.boundjid.full)
            version = await one["xep_0092"].get_version(other.boundjid)
            if version["software_version"]["name"] != "Slixmpp":
                raise Failed(f"the software is {version}")

        with step(f"{who} asks the other's server: ping, features, services, software, time"):
            await one["xep_0199"].send_ping(server.domain)
            found = (await one["xep_0030"].get_info(server.domain))["disco_info"]
            if ("server", "im") not in {(category, kind) for category, kind, *_ in found["identities"]}:
                raise Failed(f"{server.domain} is {found['identities']}")
            items = (await one["xep_0030"].get_items(server.domain))["disco_items"]["items"]
            if server.rooms not in {str(jid) for jid, *_ in items}:
                raise Failed(f"{server.domain} has {items}")
            await one["xep_0092"].get_version(server.domain)
            await one["xep_0202"].get_entity_time(server.domain)

        with step(f"{who} looks for the other's account, as a contact may (XEP-0030)"):
            found = (await one["xep_0030"].get_info(other.boundjid.bare, cached=False))["disco_info"]["identities"]
            if ("account", "registered") not in {(category, kind) for category, kind, *_ in found}:
                raise Failed(f"the account is {found}")


async def nobody(home, neighbour, alice, bob):
    for one, server in ((alice, neighbour), (bob, home)):
        with step(f"{one.boundjid.user} writes to nobody at the other server, and is told (RFC 6121 §8.5.1)"):
            one.say(f"nobody@{server.domain}", "Is anybody there?")
            await one.gets_back(f"nobody@{server.domain}", "service-unavailable")


async def while_away(street, server, away, there, shown):
    """`away` has an account at `server`; `there` shows that. Returns the client who came back."""
    name, who = away.boundjid.user, away.boundjid.bare
    with step(f"{name} goes, and the other sees it; what is written meanwhile waits, with its time"):
        there.forget()
        away.send_presence(ptype="unavailable", pstatus="gone to bed")
        await away.leave()
        await there.sees(who, "unavailable", status="gone to bed")
        for text in ("first", "second"):
            there.say(who, f"{text} while {name} sleeps")
        await there["xep_0199"].send_ping(server.domain)
        back = await street.person(server, name)
        first = await back.hears(there.boundjid.bare, f"first while {name} sleeps")
        second = await back.hears(there.boundjid.bare, f"second while {name} sleeps")
        if back.messages != [first, second] or not all(m["delay"]["stamp"] for m in back.messages):
            raise Failed(f"{name} got {back.messages}")

    with step(f"{name} is back, sees the other at once, and is seen (RFC 6121 §4.3)"):
        await back.sees(there.boundjid.bare, shown)
        await there.sees(who, "available")
    return back


async def block(alice, bob, neighbour):
    for one, other in ((alice, bob), (bob, alice)):
        who, whom = one.boundjid.user, other.boundjid.bare
        # ejabberd leaves out the presence that XEP-0191 §3.3 and §3.4 ask for.
        shows = one is alice or neighbour.name != "ejabberd"
        with step(f"{who} blocks the other, who sees {who} go, and whose messages come back (XEP-0191 §3.3)"):
            one.forget()
            other.forget()
            await one["xep_0191"].block({whom})
            if shows:
                await other.sees(one.boundjid.bare, "unavailable")
            other.say(one.boundjid.bare, "Are you cross?")
            await other.gets_back(one.boundjid.bare, "service-unavailable")
            if one.messages:
                raise Failed(f"{who} heard {one.messages}")
            one.say(whom, "No, never")
            await one.gets_back(whom, "not-acceptable")

        with step(f"{who} thinks better of it"):
            other.forget()
            await one["xep_0191"].unblock({whom})
            if shows:
                await other.sees(one.boundjid.bare, "available")
            await greet(alice, bob, f"{who} is back")


async def part(alice, bob):
    hers, his = alice.boundjid.bare, bob.boundjid.bare
    alice.forget()
    bob.forget()
    with step("she no longer wants to be seen: he is told, and sees her go (RFC 6121 §3.2.2)"):
        alice.send_presence(pto=his, ptype="unsubscribed")
        await bob.sees(hers, "unsubscribed")
        await bob.sees(hers, "unavailable")
        await bob.has_contact(hers, "from")

    with step("she removes him from her roster, and he no longer has her either (RFC 6121 §2.5.2)"):
        await alice.del_roster_item(his)
        await bob.sees(hers, "unsubscribe")
        await bob.has_contact(hers, "none")
