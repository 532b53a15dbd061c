"""What `hearth user …` does to people at their clients, beside the running server and without it."""

import json

from slixmpp_client import Slixmpp
from waiting import Failed, step

# Other servers have other commands.
SERVERS = ("hearth",)

ALICE, BOB = "alice@localhost", "bob@localhost"


async def go(server, directory):
    async def enters(jid, password):
        await (await Slixmpp(server, jid, password).log_in()).leave()

    async def refused(jid, password):
        client = Slixmpp(server, jid, password)
        await client.try_to_log_in()
        if client.sessionstarted:
            raise Failed(f"{jid} got in")

    with step("accounts are added before the first start and beside the server"):
        await server.add_user("alice", "old")
        await server.start()
        await server.add_user("bob", "bob's")
        await enters(ALICE, "old")
        await enters(BOB, "bob's")

    with step("the list is the same with and without the server"):
        listed = await server.command("user", "list")
        if listed.split() != [ALICE, BOB]:
            raise Failed(f"listed: {listed!r}")
        shown = json.loads(await server.command("user", "list", "--json"))
        if [(one["jid"], one["enabled"], one["admin"]) for one in shown] != [
                (ALICE, True, True), (BOB, True, False)]:  # Alice is among the `admins` of the configuration
            raise Failed(f"as JSON: {shown}")
        await server.stop()
        if await server.command("user", "list") != listed:
            raise Failed("another list without the server")
        await server.start()

    with step("adding an account that exists is refused, and no source of a password is wrong usage"):
        await server.command("user", "add", ALICE, "--password-stdin", stdin="new\n", expect=1)
        await server.command("user", "add", "carol@localhost", expect=2)
        await enters(ALICE, "old")

    with step("a new password is the only one that counts from now on"):
        await server.command("user", "passwd", ALICE, "--password-stdin", stdin="new\n")
        await refused(ALICE, "old")
        await enters(ALICE, "new")

    with step("a generated password works"):
        generated = (await server.command("user", "passwd", ALICE, "--generate")).split()[-1]
        await enters(ALICE, generated)

    with step("a disabled account is put out at once, and stays out until it is enabled"):
        bob = await Slixmpp(server, BOB, "bob's").come_online()
        await server.command("user", "disable", BOB)
        await bob.gone()
        await refused(BOB, "bob's")
        await server.command("user", "enable", BOB)
        await enters(BOB, "bob's")

    with step("a removed account is gone,"):
        bob = await Slixmpp(server, BOB, "bob's").come_online()
        await server.command("user", "remove", BOB, "--yes")
        await bob.gone()
        await refused(BOB, "bob's")
        if (await server.command("user", "list")).split() != [ALICE]:
            raise Failed("it is still in the list")
