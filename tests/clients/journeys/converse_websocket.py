"""Converse.js in Chromium, over a WebSocket that it finds by itself (RFC 7395, XEP-0156)."""

from household import household
from waiting import Failed, step

SERVERS = ("hearth",)


async def go(server, directory):
    async with household(server, directory, lambda server: {"discover_connection_methods": True}) as home:
        with step("host-meta tells the pages which way to go, and they log in over a WebSocket"):
            address = f"wss://{server.domain}:{server.https}/xmpp-websocket"
            for person in (home.alice, home.bob):
                await person.log_in()
                if not person.page.asked("GET", f"https://{server.domain}/.well-known/host-meta"):
                    raise Failed(f"{person.jid}'s page did not ask")
                if set(person.page.sockets) != {address}:
                    raise Failed(f"{person.jid} came by {person.page.sockets}")
        with step("pages from elsewhere may read it as JSON, too"):
            found = await home.alice.page.evaluate(
                f"fetch('https://{server.domain}/.well-known/host-meta.json').then(answer => answer.json())")
            if address not in [link["href"] for link in found["links"]]:
                raise Failed(f"{found}")
        await home.befriend()
        await home.chat()
        await home.meet()
        await home.show()
        await home.start_again(server.stop, "stopped")
        with step("into the sessions that they had (XEP-0198)"):
            resumed(home.alice, 1)
            resumed(home.bob, 1)
        await home.reload()
        with step("in the same session still"):
            resumed(home.alice, 2)
        await home.start_again(server.kill, "killed")


def resumed(person, times):
    """So often, and nothing else happened to the session."""
    frames = person.page.frames
    found = [sum(what in frame for frame in frames) for what in ("<enabled ", "<resumed ")]
    if found != [1, times]:
        raise Failed(f"{person.jid} made and resumed {found} sessions, not {[1, times]}")
