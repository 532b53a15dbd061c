"""Who is let in, and to whom anything is sent. Each domain at the neighbour's has a certificate that is in
order or wrong in one way, and makes itself known by SASL EXTERNAL (XEP-0178), by dialback (XEP-0220), or by
either. Our server wants valid certificates, or takes dialback instead, from everybody or from some.

A message goes each way between every such domain and ours, on streams of their own (no XEP-0288): it
arrives, or its sender is told that it did not."""

import asyncio

from federation.authority import BAD, GOOD
from federation.houses import Cottage, Terms
from federation.people import outcome
from federation.prosody import ProsodyHouse
from federation.street import Street
from waiting import Failed, step

SERVERS = ("hearth", "prosody")

# How a domain makes itself known: (SASL EXTERNAL, dialback).
WAYS = {"either": (True, True), "external": (True, False), "dialback": (False, True)}
COTTAGES = tuple(Cottage(f"{kind}-{way}.example", kind, *WAYS[way]) for kind in (*GOOD, *BAD) for way in WAYS)
# These are trusted without a certificate in the third round.
INSECURE = tuple(cottage.domain for cottage in COTTAGES if cottage.kind in ("self-signed", "wrong-name"))
# No refusal takes longer, nor does an error.
QUICKLY = 10.0


def comes_in(cottage, terms):
    """Whether our server takes what this domain sends.

    A certificate in order proves the domain in SASL EXTERNAL (RFC 6120 §13.7.2, XEP-0178 §3), and over
    dialback there is no more to prove (XEP-0220 §2.1.1, XEP-0344); that it names no use as a client makes no
    difference, as authorities leave that out. Any other certificate proves nothing: such a stream is let in
    by dialback alone, where that is enough."""
    if cottage.kind in GOOD:
        return True
    return cottage.dialback and (not terms.require_valid or cottage.domain in terms.insecure)


def goes_out(cottage, terms):
    """Whether our server sends anything there: the same, with the roles changed (RFC 6120 §13.7.2). Where
    dialback alone is enough, the name in DNS is all that has to be right, and our own certificate is in order,
    so that the other side needs no dialback."""
    return cottage.kind in GOOD or not terms.require_valid or cottage.domain in terms.insecure


async def go(home, directory):
    async with Street(home, directory) as street:
        with step(f"a neighbour with {len(COTTAGES)} domains opens, and somebody at each comes online"):
            terms = Terms(bidi=False, cottages=COTTAGES)
            friends = street.house(ProsodyHouse, "friends.example", terms)
            await street.open()
            people = dict(zip(COTTAGES, await asyncio.gather(*(
                street.person(friends, "bob", domain=cottage.domain) for cottage in COTTAGES))))
            await home.add_user("alice", f"alice@{home.domain}")
        for number, (words, terms) in enumerate({
                "only certificates in order are believed": Terms(bidi=False),
                "dialback alone is enough": Terms(bidi=False, require_valid=False),
                "dialback alone is enough for some": Terms(bidi=False, insecure=INSECURE)}.items()):
            await home.stop()
            home.terms = terms
            await home.start()
            with step(f"{words}: {2 * len(COTTAGES)} messages arrive, or come back at once"):
                await around(street, home, people, f"round {number}")


async def around(street, home, people, text):
    """Everybody writes to Alice, and she to everybody."""
    alice = await street.person(home, "alice")
    pairs = [pair for bob in people.values() for pair in ((alice, bob), (bob, alice))]
    found = iter(await asyncio.gather(*(outcome(one, other, text, QUICKLY) for one, other in pairs)))
    wrong = []
    for cottage in people:
        for direction, wanted, was in (("to", goes_out, next(found)), ("from", comes_in, next(found))):
            if (was == "arrived") != wanted(cottage, home.terms) or was is None:
                wrong.append(f"{direction} {cottage.domain}: {was or 'neither arrived nor came back'}")
    if wrong:
        raise Failed("\n".join(wrong))
    await alice.leave()
