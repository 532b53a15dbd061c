"""Alice and Carol, each at profanity, exchange keys by way of the server and write to each other so that it
cannot read along (XEP-0384 over XEP-0163); after its plug was pulled they still can."""

import asyncio
import re

from profanity import Profanity
from waiting import Failed, step, until

# Against Prosody profanity gets there only when its commands happen to meet the right moments.
SERVERS = ("hearth",)

ALICE, CAROL = "alice@localhost", "carol@localhost"


async def go(server, directory):
    people = {jid: Profanity(server, directory / jid.split("@")[0], jid, password(jid))
              for jid in (ALICE, CAROL)}
    alice, carol = people[ALICE], people[CAROL]
    try:
        await meet(server, alice, carol)
        await talk(alice, carol, "The owl flies at midnight", "And the lark at dawn")
        with step("the plug is pulled, and both sign in again"):
            await server.kill()
            await server.serve()
            for client in (alice, carol):
                client.type("/win 1")
                client.type("/clear")
                await client.log_in()
        await talk(alice, carol, "Again at midnight", "Again at dawn")
    except Failed as failure:
        screens = "\n".join(f"{jid}:\n{client.text()}" for jid, client in people.items())
        raise Failed(f"{failure}\n{screens}") from failure
    finally:
        await asyncio.gather(*(client.leave() for client in people.values()), return_exceptions=True)


def password(jid):
    return f"{jid}'s own"


async def meet(server, alice, carol):
    with step("the server starts, and accounts can be added"):
        await server.start()
        for jid in (ALICE, CAROL):
            await server.add_user(jid.partition("@")[0], password(jid))
    with step("both sign in and become contacts"):
        for client in (alice, carol):
            await (await client.start()).log_in()
        alice.type(f"/sub request {CAROL}")
        await carol.shows(f"Received authorization request from {ALICE}")
        carol.type(f"/sub allow {ALICE}")
        carol.type(f"/sub request {ALICE}")
        await alice.shows(f"Received authorization request from {CAROL}")
        alice.type(f"/sub allow {CAROL}")
    with step("both make keys and give them to the server, and Alice hears of Carol's"):
        for client in (alice, carol):
            client.type("/omemo trustmode blind")
            client.type("/omemo gen")
            await logs(client, "bundle published successfully")
        alice.type(f"/msg {CAROL}")
        alice.type("/omemo start")
        await logs(alice, rf"Starting device session for {CAROL} with device \d+")


async def logs(client, pattern):
    """Waits for a line in the client's own log: of keys the screen says less than is needed."""
    log = client.home / "profanity.log"
    await until(lambda: f"profanity of {client.account} does not log {pattern!r}",
                lambda: re.search(pattern, log.read_text(errors="replace")))


async def talk(alice, carol, question, answer):
    with step("each reads what the other encrypted"):
        alice.type(f"/msg {CAROL}")
        alice.type("/omemo start")
        await alice.shows(r"\[OMEMO\]")
        alice.say(CAROL, question)
        await carol.hears(ALICE, question)
        carol.type("/omemo start")
        await carol.shows(r"\[OMEMO\]")
        carol.say(ALICE, answer)
        await alice.hears(CAROL, answer)
