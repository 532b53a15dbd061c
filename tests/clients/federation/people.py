"""What two people at two servers do in several journeys."""

from waiting import step


async def befriend(alice, bob):
    """Each sees the other's presence (RFC 6121 §3.1); both are online."""
    hers, his = alice.boundjid.bare, bob.boundjid.bare
    with step("she asks to see him, he lets her, and the other way round"):
        await ask(alice, bob, "from")
        await alice.has_contact(his, "to")
        await alice.sees(his, "available")
        await ask(bob, alice, "both")
        await bob.has_contact(hers, "both")
        await bob.sees(hers, "available")


async def ask(one, other, then):
    """`one` may see `other`, who has the contact as `then` afterwards."""
    me, they = one.boundjid.bare, other.boundjid.bare
    one.send_presence(pto=they, ptype="subscribe")
    await other.sees(me, "subscribe")
    other.send_presence(pto=me, ptype="subscribed")
    await one.sees(they, "subscribed")
    await other.has_contact(me, then)


async def greet(alice, bob, text):
    """A message each way."""
    hers, his = alice.boundjid.bare, bob.boundjid.bare
    alice.say(his, f"{text} to Bob")
    await bob.hears(hers, f"{text} to Bob")
    bob.say(hers, f"{text} to Alice")
    await alice.hears(his, f"{text} to Alice")
