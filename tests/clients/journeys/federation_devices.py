"""What a neighbour's client shows beside messages: names, pictures and cards of people at other servers
(XEP-0163, XEP-0172, XEP-0084, XEP-0054), and the conversation on both of one's devices (XEP-0280)."""

from slixmpp.exceptions import IqError, IqTimeout

from federation.ejabberd import EjabberdHouse
from federation.people import befriend
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")

# The smallest picture there is: one pixel (PNG).
PICTURE = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478"
                        "9c63f8cfc0f01f00050001ff56c7e6b50000000049454e44ae426082")


async def go(home, directory):
    async with Street(home, directory) as street:
        with step("three servers start"):
            neighbours = (street.house(ProsodyHouse, "friends.example"),
                          street.house(EjabberdHouse, "office.example"))
            await street.open("alice", "bob")
        for neighbour in neighbours:
            print(f"  {neighbour.domain} ({neighbour.name})", flush=True)
            alice, bob = await street.person(home, "alice"), await street.person(neighbour, "bob")
            for client in (alice, bob):
                client["xep_0172"], client["xep_0084"]
                listen(client)
            try:
                await befriend(alice, bob)
                await present(street, neighbour, bob, alice)
                await present(street, home, alice, bob)
                await copy(street, home, alice, bob)
            except (IqError, IqTimeout) as error:
                raise Failed(f"instead of an answer came {error.iq}") from error
            await alice.leave()
            await bob.leave()


def listen(client):
    """Remembers whose name and picture it was told."""
    client.told = []
    def named(message):
        item = message["pubsub_event"]["items"]["item"]
        client.told.append((message["from"].bare, "name", item["nick"]["nick"]))

    def pictured(message):
        pictures = message["pubsub_event"]["items"]["item"]["avatar_metadata"]["items"]
        client.told.extend((message["from"].bare, "picture", picture["id"]) for picture in pictures)
    client.add_event_handler("user_nick_publish", named)
    client.add_event_handler("avatar_metadata_publish", pictured)


async def told(client, *what):
    await until(lambda: f"{client.boundjid} was told {client.told}, not {what}", lambda: what in client.told)


async def present(street, server, one, other):
    """`one`, at `server`, and what `other` gets to know."""
    who, whom = one.boundjid.user, other.boundjid.user
    with step(f"{who} takes a name, and {whom} is told (XEP-0172)"):
        await one["xep_0172"].publish_nick(f"Dear {who}")
        await told(other, one.boundjid.bare, "name", f"Dear {who}")

    with step(f"{who} has a card, and {whom} reads it (XEP-0054)"):
        # A card without a picture takes the picture away (XEP-0398 §3), so it comes first.
        card = one["xep_0054"].make_vcard()
        card["FN"], card["NICKNAME"] = f"{who.capitalize()} of {server.domain}", f"Dear {who}"
        await one["xep_0054"].publish_vcard(card)
        answer = await other["xep_0054"].get_vcard(one.boundjid.bare, cached=False)
        if answer["vcard_temp"]["FN"] != card["FN"]:
            raise Failed(f"the card is {answer}")

    with step(f"{who} takes a picture; {whom} is told, and fetches it (XEP-0084)"):
        picture = one["xep_0084"].generate_id(PICTURE)
        await one["xep_0084"].publish_avatar(PICTURE)
        await one["xep_0084"].publish_avatar_metadata(
            {"bytes": str(len(PICTURE)), "type": "image/png", "id": picture, "width": "1", "height": "1"})
        await told(other, one.boundjid.bare, "picture", picture)
        answer = await other["xep_0084"].retrieve_avatar(one.boundjid.bare, picture)
        if answer["pubsub"]["items"]["item"]["avatar_data"]["value"] != PICTURE:
            raise Failed(f"the picture is {answer}")

    with step(f"{whom} comes back, and is told {who}'s name again (XEP-0163 §4.3.4)"):
        other.told.clear()
        other.send_presence(ptype="unavailable")
        await one.sees(other.boundjid.bare, "unavailable")
        other.send_presence()
        await told(other, one.boundjid.bare, "name", f"Dear {who}")
        await told(other, one.boundjid.bare, "picture", picture)


async def copy(street, home, desk, bob):
    phone = await street.person(home, "alice", resource="phone")
    for client in (desk, phone):
        await client["xep_0280"].enable()
        client.copies.clear()
    hers, his = desk.boundjid.bare, bob.boundjid.bare
    with step("both her devices have both sides of the conversation, once (XEP-0280)"):
        bob.say(desk.boundjid.full, "to the desk")
        await desk.hears(his, "to the desk")
        desk.say(his, "from the desk")
        await bob.hears(hers, "from the desk")
        expected = [("carbon_received", "to the desk"), ("carbon_sent", "from the desk")]
        await until(lambda: f"the phone got {phone.copies}", lambda: len(phone.copies) >= 2)
        bob.say(hers, "to both")
        for client in (desk, phone):
            await client.hears(his, "to both")
            await client.settled()
        if phone.copies != expected or desk.copies:
            raise Failed(f"the phone got {phone.copies}, the desk {desk.copies}")
    await phone.leave()
