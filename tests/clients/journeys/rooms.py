"""A group of the household, in the way today's clients make one (XEP-0045): Bob's slixmpp makes a room for members
alone and asks Alice in, who is at profanity, and Carol, who is at xmpp.js. They talk, the server starts again in
the middle, what was said is there for whoever comes back, and Bob shows Carol the door."""

from profanity import Profanity
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until
from xmpp_js import XmppJs

SERVERS = ("hearth", "prosody")

CAROL, DAVE = "carol@localhost", "dave@localhost"
ROOM = "family@groupchat.localhost"
# What Conversations and Monal ask for when somebody makes a private group.
GROUP = {"muc#roomconfig_roomname": "Family", "muc#roomconfig_persistentroom": True,
         "muc#roomconfig_membersonly": True, "muc#roomconfig_publicroom": False,
         "muc#roomconfig_whois": "anyone", "muc#roomconfig_changesubject": True}


async def go(server, directory):
    clients = []

    def known(client):
        clients.append(client)
        return client

    with step("the server starts, and Bob, Alice and Carol come online"):
        await start(server, ALICE, BOB, CAROL, DAVE)
        bob = await known(at_slixmpp(server, BOB)).come_online()
        alice = known(Profanity(server, directory / "alice", ALICE, ALICE))
        await (await alice.start()).log_in()
        carol = known(XmppJs(server, "carol", "laptop", CAROL))
        await carol.come_online()
    try:
        await make(bob)
        await ask_in(server, bob, alice, carol, known)
        await talk(bob, alice, carol)
        bob = await start_again(server, bob, alice, carol, known)
        await read_the_archive(bob)
        await show_the_door(bob, alice, carol)
    except Failed as failure:
        raise Failed(f"{failure}\nAlice's screen:\n{alice.text()}") from failure
    finally:
        for client in clients:
            await client.leave()


def at_slixmpp(server, jid):
    client = Slixmpp(server, f"{jid}/desk", jid)
    client.register_plugin("xep_0045")
    return client


async def enter(client, nick, **history):
    return await client["xep_0045"].join_muc_wait(ROOM, nick, timeout=20, **history)


async def make(bob):
    rooms = bob["xep_0045"]
    with step("Bob makes a room for members alone, with the form that the room has for that (§10.1.3)"):
        own, _, _, _ = await enter(bob, "Bob")
        codes = own["muc"]["status_codes"]
        if not {110, 201} <= set(codes):
            raise Failed(f"instead of a new room there are {codes}")
        form = await rooms.get_room_config(ROOM)
        missing = [name for name in GROUP if name not in form.get_fields()]
        if missing:
            raise Failed(f"the form lacks {missing}")
        answer = {name: field.get_value() for name, field in form.get_fields().items() if field["type"] != "fixed"}
        form["type"] = "submit"
        form.set_values({**answer, **GROUP})
        await rooms.set_room_config(ROOM, form)

    with step("and it says so of itself (§6.4)"):
        features = (await bob["xep_0030"].get_info(jid=ROOM))["disco_info"]["features"]
        wanted = {"muc_membersonly", "muc_persistent", "muc_hidden", "muc_nonanonymous", "urn:xmpp:mam:2"}
        if not wanted <= set(features):
            raise Failed(f"the features lack {wanted - set(features)}")


async def ask_in(server, bob, alice, carol, known):
    rooms = bob["xep_0045"]
    with step("who is no member stays outside (§7.2.6)"):
        dave = await known(at_slixmpp(server, DAVE)).come_online()
        # slixmpp itself waits for an error with the <x/> that it sent, which not every server repeats.
        dave["xep_0045"].join_muc(ROOM, "Dave")
        refused = await dave.sees(ROOM, "error")
        if refused["error"]["condition"] != "registration-required":
            raise Failed(f"Dave got {refused}")
        await dave.leave()

    with step("Alice becomes a member, is asked in, and enters"):
        await rooms.set_affiliation(ROOM, "member", jid=ALICE)
        rooms.invite(ROOM, ALICE, "Come in")
        await alice.shows(f"Room *: {ROOM}")
        alice.type(f"/join {ROOM} nick Alice")
        await alice.shows("You have joined the room as Alice")
        await there(bob, "Alice")

    with step("Carol, too"):
        await rooms.set_affiliation(ROOM, "member", jid=CAROL)
        carol.do("enter", room=ROOM, nick="Carol")
        await carol.tells("presence", **{"from": f"{ROOM}/Carol", "type": None})
        await there(bob, "Carol")


async def there(bob, nick):
    await until(lambda: f"Bob sees {list(bob['xep_0045'].get_roster(ROOM))}, not {nick}",
                lambda: nick in bob["xep_0045"].get_roster(ROOM))


async def talk(bob, alice, carol):
    with step("they talk, and everybody hears everybody"):
        alice.type("Who cooks tonight?")
        await bob.hears(ROOM, "Who cooks tonight?")
        await carol.tells("message", body="Who cooks tonight?")
        bob.send_message(mto=ROOM, mbody="I do & <3", mtype="groupchat")
        await alice.shows("Bob: I do & <3")
        await carol.tells("message", body="I do & <3")
        carol.do("say", to=ROOM, body="Soup 🍲", type="groupchat")
        await bob.hears(ROOM, "Soup 🍲")
        await alice.shows("Carol: Soup")


async def start_again(server, bob, alice, carol, known):
    with step("the server starts again; Bob returns, and what was said comes with the room (§7.2.13)"):
        since = len(carol.told)
        await bob.leave()
        await server.stop()
        await server.start()
        bob = await known(at_slixmpp(server, BOB)).come_online()
        _, _, _, history = await enter(bob, "Bob", maxstanzas=20)
        said = [message["body"] for message in history]
        if said != ["Who cooks tonight?", "I do & <3", "Soup 🍲"]:
            raise Failed(f"of the history came {said}")

    with step("Alice comes back with her window, Carol by herself"):
        # What ends a room's answer to whoever enters (§7.2.15).
        subject = f'(<message [^>]*from="{ROOM}"><subject)'
        before = len(alice.wire("RECV", subject))
        alice.type("/win 1")
        await alice.shows("offline")
        await alice.log_in()
        await until("profanity did not enter again", lambda: len(alice.wire("RECV", subject)) > before)
        alice.type("/win 2")
        await until(lambda: f"xmpp.js is not back: {carol.told[since:]}",
                    lambda: any(one["event"] in ("online", "resumed") for one in carol.told[since:]))
        # Whoever resumed is in the room still; whoever did not enters again, which does no harm (§7.2.1).
        carol.do("enter", room=ROOM, nick="Carol")
        await there(bob, "Carol")
        bob.send_message(mto=ROOM, mbody="Everybody here?", mtype="groupchat")
        await alice.shows("Bob: Everybody here")
        await carol.tells("message", since, body="Everybody here?")
    return bob


async def read_the_archive(bob):
    with step("the room has an archive of what was said (XEP-0313)"):
        await bob.settled()
        said = [body for body in await bob.archived(jid=ROOM, rsm={"max": 2}) if body]
        if said != ["Who cooks tonight?", "I do & <3", "Soup 🍲", "Everybody here?"]:
            raise Failed(f"it has {said}")


async def show_the_door(bob, alice, carol):
    rooms = bob["xep_0045"]
    with step("Bob kicks Carol, and everybody sees why (§8.2)"):
        since = len(carol.told)
        await rooms.set_role(ROOM, "Carol", "none", reason="Homework first")
        left = await carol.tells("presence", since, **{"from": f"{ROOM}/Carol", "type": "unavailable"})
        if not {"110", "307"} <= set(left["codes"]):
            raise Failed(f"Carol was told {left['codes']}")
        await alice.shows("Carol has been kicked.*Homework first")

    with step("Bob closes the room for good (§10.9)"):
        await rooms.destroy(ROOM, "We have moved")
        await alice.shows("We have moved")
