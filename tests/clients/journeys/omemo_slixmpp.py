"""Alice at profanity and Carol at slixmpp, each with an implementation of OMEMO of its own (XEP-0384), write to
each other so that the server cannot read along; after its plug was pulled they still can."""

import asyncio

from journeys.omemo import ALICE, CAROL, logs, password
from omemo_client import Encrypting, Keys
from profanity import Profanity
from waiting import Failed, step

SERVERS = ("hearth",)


async def go(server, directory):
    alice = Profanity(server, directory / "alice", ALICE, password(ALICE))
    keys = Keys()
    with step("the server starts, and accounts can be added"):
        await server.start()
        for jid in (ALICE, CAROL):
            await server.add_user(jid.partition("@")[0], password(jid))
    carol = Encrypting(server, CAROL, password(CAROL), keys)
    try:
        await meet(alice, carol)
        await talk(alice, carol, "The owl flies at midnight", "And the lark at dawn")
        with step("the plug is pulled, and both sign in again as the same devices"):
            await server.kill()
            await carol.gone()
            await server.serve()
            alice.type("/win 1")
            alice.type("/clear")
            await alice.log_in()
            carol = await Encrypting(server, CAROL, password(CAROL), keys).come_online()
            await carol.keys_published()
        await talk(alice, carol, "Again at midnight", "Again at dawn")
    except Failed as failure:
        raise Failed(f"{failure}\nprofanity:\n{alice.text()}\nslixmpp:\n{carol.errors}") from failure
    finally:
        await asyncio.gather(alice.leave(), carol.leave(), return_exceptions=True)


async def meet(alice, carol):
    with step("both sign in and become contacts"):
        await (await alice.start()).log_in()
        await carol.come_online()
        alice.type(f"/sub request {CAROL}")
        await carol.sees(ALICE, "subscribe")
        carol.send_presence(pto=ALICE, ptype="subscribed")
        carol.send_presence(pto=ALICE, ptype="subscribe")
        await alice.shows(f"Received authorization request from {CAROL}")
        alice.type(f"/sub allow {CAROL}")
        await carol.has_contact(ALICE, "both")
    with step("both make keys and give them to the server, and Alice hears of Carol's"):
        await carol.keys_published()
        alice.type("/omemo trustmode blind")
        alice.type("/omemo gen")
        await logs(alice, "bundle published successfully")
        alice.type(f"/msg {CAROL}")
        alice.type("/omemo start")
        await logs(alice, rf"Starting device session for {CAROL} with device \d+")


async def talk(alice, carol, question, answer):
    with step("each reads what the other encrypted"):
        alice.type(f"/msg {CAROL}")
        alice.type("/omemo start")
        await alice.shows(r"\[OMEMO\]")
        alice.say(CAROL, question)
        await carol.hears_secretly(ALICE, question)
        await carol.say_secretly(ALICE, answer)
        await alice.hears(CAROL, answer)
