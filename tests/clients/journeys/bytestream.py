"""Alice sends Bob a film from app to app (XEP-0065): slixmpp finds the proxy, both connect to it, and it arrives
whole. Bob may send one back. Nothing passes without somebody of the house who asks for it: neither where only
one has come, nor where the hash is another, nor for a friend from elsewhere. With her account her streams end."""

import asyncio
import hashlib
import os
import uuid

from slixmpp.exceptions import IqError

from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until

SERVERS = ("hearth",)

FILM = os.urandom(5_000_000)
PROXY = "proxy.localhost"


async def go(server, _):
    server.used += ("proxy65",)
    server.proxy65 = 0
    await start(server, ALICE, BOB)
    alice = await app(server, ALICE)
    bob = await app(server, BOB)
    bob["xep_0065"].auto_accept = True
    try:
        await befriend(alice, bob)
        await find(server, alice)
        await share(alice, bob)
        await refuse(server, alice)
        await end(server, alice, bob)
    finally:
        for client in (alice, bob):
            await client.leave()


async def app(server, jid):
    client = Slixmpp(server, f"{jid}/desk", jid)
    client.register_plugin("xep_0065")
    # What came by any of its streams.
    client.received, client.closed = bytearray(), 0

    def closed(_):
        client.closed += 1
    client.add_event_handler("socks5_data", client.received.extend)
    client.add_event_handler("socks5_closed", closed)
    return await client.come_online()


async def befriend(alice, bob):
    """Requests reach an app from those who may see that it is there."""
    for one, other in ((alice, BOB), (bob, ALICE)):
        one.send_presence(pto=f"{other}/desk")
        await one.settled()


async def find(server, alice):
    with step("slixmpp finds the proxy, and hears where it is"):
        found = {str(jid): address for jid, address in (await alice["xep_0065"].discover_proxies()).items()}
        expected = {PROXY: ("localhost", server.proxy65)}
        if {jid: (host, int(port)) for jid, (host, port) in found.items()} != expected:
            raise Failed(f"{found} instead of {expected}")


async def share(alice, bob):
    with step("5 MB arrive as they were sent"):
        stream = await alice["xep_0065"].handshake(bob.boundjid, timeout=20)
        if stream is None:
            raise Failed("there is no stream")
        await send(stream, FILM)
        await until(lambda: f"{len(bob.received)} bytes arrived", lambda: len(bob.received) >= len(FILM))
        same(bob.received)
    with step("and back over the same stream"):
        (back,) = bob["xep_0065"]._sessions.values()
        await send(back, FILM)
        await until(lambda: f"{len(alice.received)} bytes arrived", lambda: len(alice.received) >= len(FILM))
        same(alice.received)
    with step("whoever closes it closes it for both"):
        stream.transport.close()
        await until("Bob's end is open", lambda: bob.closed == 1)


async def send(stream, film):
    for start_ in range(0, len(film), 65_536):
        await stream.write(film[start_:start_ + 65_536])


def same(received):
    if hashlib.sha256(received).digest() != hashlib.sha256(FILM).digest():
        raise Failed("what arrived is something else")


async def refuse(server, alice):
    proxy = alice["xep_0065"]

    async def refused(condition, activation):
        try:
            await activation
        except IqError as refusal:
            if refusal.condition != condition:
                raise Failed(f"{refusal.condition} instead of {condition}") from None
        else:
            raise Failed(f"no {condition}")

    async def waits(sid, target):
        reached = proxy._connect_proxy(proxy._get_dest_sha1(sid, alice.boundjid, target), server.host, server.proxy65)
        _, connection = await reached
        await asyncio.wait_for(connection.connected, 20)
        return connection

    sid, target = uuid.uuid4().hex, f"{BOB}/desk"
    with step("nothing begins where nobody has come, or only one"):
        await refused("item-not-found", proxy.activate(PROXY, sid, target))
        one = await waits(sid, target)
        await refused("not-allowed", proxy.activate(PROXY, sid, target))
    with step("nor with another hash, whatever is wrong in it"):
        other = await waits(sid, target)
        await refused("item-not-found", proxy.activate(PROXY, sid + "x", target))
        await refused("item-not-found", proxy.activate(PROXY, sid, f"{BOB}/phone"))
        stranger = await Slixmpp(server, f"{ALICE}/phone", ALICE).come_online()
        stranger.register_plugin("xep_0065")
        await refused("item-not-found", stranger["xep_0065"].activate(PROXY, sid, target))
        await stranger.leave()
    with step("a third one is not let in where two wait"):
        reader, writer = await asyncio.open_connection(server.host, server.proxy65)
        name = proxy._get_dest_sha1(sid, alice.boundjid, target).encode()
        writer.write(b"\5\1\0\5\1\0\3\x28" + name + b"\0\0")
        said = await asyncio.wait_for(reader.read(), 20)
        if said != b"\5\0\5\1\0\3\x28" + name + b"\0\0":
            raise Failed(f"it was told {said}")
        writer.close()
    with step("and what is right begins"):
        await proxy.activate(PROXY, sid, target)
    for connection in (one, other):
        connection.transport.close()


async def end(server, alice, bob):
    with step("with her account her streams end"):
        stream = await alice["xep_0065"].handshake(bob.boundjid, timeout=20)
        before = bob.closed
        await send(stream, b"one more")
        await until("it does not arrive", lambda: bob.received.endswith(b"one more"))
        await server.command("user", "disable", ALICE)
        await until("Bob's end is open", lambda: bob.closed > before)
