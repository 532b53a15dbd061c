"""Rooms across servers (XEP-0045): Alice of ours in a neighbour's room, Bob of theirs in ours, at Prosody
and at ejabberd. They talk, read the archive, are shown the door and leave; and Bob's server dies while he
is in our room."""

from slixmpp.exceptions import IqError, IqTimeout

from federation.ejabberd import EjabberdHouse
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")

# A room for everybody that stays.
OPEN = {"muc#roomconfig_membersonly": False, "muc#roomconfig_persistentroom": True,
        "muc#roomconfig_publicroom": True, "muc#roomconfig_whois": "anyone"}


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("three servers start"):
            neighbours = (street.house(ProsodyHouse, "friends.example"),
                          street.house(EjabberdHouse, "office.example"))
            await street.open("alice", "bob")
        for neighbour in neighbours:
            print(f"  {neighbour.domain} ({neighbour.name})", flush=True)
            alice, bob = await street.person(home, "alice"), await street.person(neighbour, "bob")
            try:
                await meet(bob, alice, f"kitchen@{neighbour.rooms}", "a room of theirs")
                ours = f"{neighbour.name}@{home.rooms}"
                await meet(alice, bob, ours, "a room of ours")
                await die(neighbour, alice, bob, ours)
            except (IqError, IqTimeout) as error:
                raise Failed(f"instead of an answer came {error.iq}") from error
            await alice.leave()
            await bob.leave()


async def make(owner, room):
    rooms = owner["xep_0045"]
    await enter(owner, room)
    form = await rooms.get_room_config(room)
    fields = {name: field.get_value() for name, field in form.get_fields().items() if field["type"] != "fixed"}
    form["type"] = "submit"
    form.set_values({**fields, **{name: value for name, value in OPEN.items() if name in fields}})
    await rooms.set_room_config(room, form)


async def enter(client, room):
    """By the name of the account."""
    return await client["xep_0045"].join_muc_wait(room, client.boundjid.user, timeout=20)


async def meet(owner, guest, room, words):
    """The owner makes the room at the server of hers or his, and the guest comes from the other."""
    his, hers = owner.boundjid.user, guest.boundjid.user
    with step(f"{his} makes {words}, and {hers} enters: both are there, with their addresses (§7.2.3)"):
        await make(owner, room)
        await enter(guest, room)
        await there(owner, room, hers)
        await there(guest, room, his)
        seen = owner["xep_0045"].get_jid_property(room, hers, "jid")
        if str(seen) != guest.boundjid.full:
            raise Failed(f"{his} sees {seen} as {hers}")

    with step("they talk, aloud and in private (§7.4, §7.5)"):
        await talk(owner, guest, room, "before")
        guest.send_message(mto=f"{room}/{his}", mbody="Between us", mtype="chat")
        await owner.hears(room, "Between us")

    with step(f"{hers} asks {his}, the room, and its archive (§17.1, XEP-0030, XEP-0313)"):
        await guest["xep_0199"].send_ping(f"{room}/{his}")
        features = (await guest["xep_0030"].get_info(jid=room))["disco_info"]["features"]
        if not {"http://jabber.org/protocol/muc", "urn:xmpp:mam:2"} <= set(features):
            raise Failed(f"the room can {features}")
        kept = [body for body in await guest.archived(jid=room, rsm={"max": 1}) if body]
        if kept != [f"{his} before", f"{hers} before"]:
            raise Failed(f"the archive has {kept}")

    with step(f"{his} shows {hers} the door (§8.2), who comes back and has the history (§7.2.13)"):
        guest.forget()
        await owner["xep_0045"].set_role(room, hers, "none", reason="Homework first")
        gone = await left(guest, room, hers)
        if not {110, 307} <= set(gone["muc"]["status_codes"]):
            raise Failed(f"{hers} was told {gone}")
        _, _, _, history = await enter(guest, room)
        said = [message["body"] for message in history]
        if said != [f"{his} before", f"{hers} before"]:
            raise Failed(f"of the history came {said}")
        await there(owner, room, hers)
        await talk(owner, guest, room, "after")

    with step(f"{hers} leaves, and comes back (§7.14)"):
        owner.forget()
        guest.forget()
        guest["xep_0045"].leave_muc(room, hers, "See you")
        await left(owner, room, hers, status="See you")
        await left(guest, room, hers)
        await enter(guest, room)
        await there(owner, room, hers)


async def talk(owner, guest, room, when):
    for one, other in ((owner, guest), (guest, owner)):
        text = f"{one.boundjid.user} {when}"
        one.send_message(mto=room, mbody=text, mtype="groupchat")
        await other.hears(room, text)
        await one.hears(room, text)


async def there(client, room, nick):
    await until(lambda: f"{client.boundjid} sees {list(client['xep_0045'].get_roster(room))}, not {nick}",
                lambda: nick in client["xep_0045"].get_roster(room))


async def left(client, room, nick, **wanted):
    """Waits until it is told that `nick` is no longer in the room; returns how."""
    wanted = {"from": f"{room}/{nick}", "type": "unavailable", **wanted}
    return await until(
        lambda: f"to {client.boundjid}, {nick} is still in {room}: {client.presences}",
        lambda: next((p for p in client.presences if all(p[key] == value for key, value in wanted.items())), None))


async def die(neighbour, alice, bob, room):
    with step("his server dies; when that shows, he is no longer in our room, and she still is"):
        alice.forget()
        await neighbour.kill()
        await bob.gone()
        alice.send_message(mto=room, mbody="Are you all right?", mtype="groupchat")
        await left(alice, room, "bob")
        await alice.hears(room, "Are you all right?")
        found = list(alice["xep_0045"].get_roster(room))
        if found != ["alice"]:
            raise Failed(f"in the room are {found}")

    with step("his server and he are back, and so is he in the room, with what he missed"):
        await neighbour.start()
        await bob.come_online()
        _, _, _, history = await enter(bob, room)
        if not history or history[-1]["body"] != "Are you all right?":
            raise Failed(f"of the history came {[message['body'] for message in history]}")
        await talk(alice, bob, room, "again")
