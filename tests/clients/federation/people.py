"""What two people at two servers do in several journeys."""

from waiting import Failed, step, until


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


async def outcome(one, other, text, seconds):
    """What becomes of a message from one to the other, a client or an address, within that time: "arrived", or
    the error that came back, or None."""
    me = one.boundjid.bare
    they, heard = (other, []) if isinstance(other, str) else (other.boundjid.bare, other.messages)
    before = len(errors(one, they))
    one.say(they, text)

    def known():
        if any(m["from"].bare == me and m["body"] == text for m in heard):
            return "arrived"
        return next(iter(errors(one, they)[before:]), None)
    try:
        return await until("neither arrived nor came back", known, seconds)
    except Failed:
        return None


def errors(client, sender):
    return [m["error"]["condition"] for m in client.returned if m["from"].bare == sender]


class Again:
    """Says something as often as it comes back, until it arrives; asked whether it did."""

    def __init__(self, one, other):
        self.one, self.other, self.said = one, other, None

    def __call__(self):
        returned = [m for m in self.one.returned if m["from"].bare == self.other.boundjid.bare]
        if self.said is None or len(returned) > self.said:
            self.said = len(returned)
            self.one.say(self.other.boundjid.bare, "better now?")
        return any(m["body"] == "better now?" for m in self.other.messages)
