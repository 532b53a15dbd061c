"""Alice's phone and her tablet, both at slixmpp, show the whole conversation with Bob (XEP-0280)."""

from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")


async def go(server, directory):
    with step("Alice is there twice, and only her tablet asks for copies"):
        await start(server, ALICE, BOB)
        phone = await Slixmpp(server, f"{ALICE}/phone", ALICE).come_online()
        tablet = await Slixmpp(server, f"{ALICE}/tablet", ALICE).come_online()
        bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
        await tablet["xep_0280"].enable()
    try:
        await copy(phone, tablet, bob)
        await do_not_copy(phone, tablet, bob)
    finally:
        for client in (phone, tablet, bob):
            await client.leave()


async def copy(phone, tablet, bob):
    with step("what her phone is told and what it says reach the tablet, in order and once"):
        bob.say(f"{ALICE}/phone", "one")
        await phone.hears(BOB, "one")
        phone.say(BOB, "two")
        await bob.hears(ALICE, "two")
        bob.say(f"{ALICE}/phone", "three")
        expected = [("carbon_received", "one"), ("carbon_sent", "two"), ("carbon_received", "three")]
        await until(lambda: f"the tablet got {tablet.copies}", lambda: len(tablet.copies) >= 3)
        await tablet.settled()
        if tablet.copies != expected or phone.copies:
            raise Failed(f"the tablet got {tablet.copies}, the phone {phone.copies}")

    with step("what both of them were told is no copy"):
        bob.say(ALICE, "to both")
        for client in (phone, tablet):
            await client.hears(BOB, "to both")
            await client.settled()
        if len(tablet.copies) != 3 or phone.copies:
            raise Failed(f"the tablet got {tablet.copies}, the phone {phone.copies}")


async def do_not_copy(phone, tablet, bob):
    with step("what is private stays where it was sent (§9)"):
        secret = bob.make_message(mto=f"{ALICE}/phone", mbody="for your eyes", mtype="chat")
        secret.enable("carbon_private")
        secret.send()
        await phone.hears(BOB, "for your eyes")
        await tablet.settled()
        if len(tablet.copies) != 3:
            raise Failed(f"the tablet got {tablet.copies}")

    with step("who asks for no more copies gets none"):
        await tablet["xep_0280"].disable()
        bob.say(f"{ALICE}/phone", "nobody else")
        await phone.hears(BOB, "nobody else")
        await tablet.settled()
        if len(tablet.copies) != 3:
            raise Failed(f"the tablet got {tablet.copies}")
