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
        await home.befriend()
        await home.chat()
        await home.meet()
        await home.show()
