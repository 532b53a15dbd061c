"""The link between a client and its server, which a journey can cut: a forwarding proxy on 127.0.0.1. TLS
passes through it unopened. A cut is what a phone goes through: sometimes both ends are told, sometimes what
is sent simply gets lost for a while before anybody notices."""

import asyncio
import socket
import struct

# Bytes forwarded at once.
CHUNK = 65536


class Link:
    """To `port` of `host`. A client connects to `self.port`."""

    def __init__(self, host, port):
        self.host, self.to = host, port
        self.port = None
        self.up = True
        # What is sent in these directions is lost.
        self.deaf_client = self.deaf_server = False
        self.wires = []
        # How many connections went through it.
        self.connections = 0
        self.listener = None

    async def open(self):
        """Takes connections from now on. Returns self."""
        self.listener = await asyncio.start_server(self._connected, self.host, 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    def close(self):
        self.cut()
        self.listener.close()

    def cut(self, tell_server=True):
        """All connections are reset, and new ones fail until `restore`. The server may be left in the belief
        that the client is still there."""
        self.up = False
        for wire in self.wires:
            wire.hang_up(wire.client)
            if tell_server:
                wire.hang_up(wire.server)
        if tell_server:
            self.wires.clear()

    def restore(self):
        """The network is back: new connections work, those of before stay dead."""
        self.up = True
        self.deaf_client = self.deaf_server = False

    async def _connected(self, reader, writer):
        if not self.up:
            reset(writer)
            return
        try:
            from_server, to_server = await asyncio.open_connection(self.host, self.to)
        except OSError:
            reset(writer)
            return
        wire = Wire(writer, to_server)
        self.wires.append(wire)
        self.connections += 1
        await asyncio.gather(
            wire.carry(reader, to_server, lambda: self.deaf_server),
            wire.carry(from_server, writer, lambda: self.deaf_client))


class Wire:
    """One connection through the link, with a writer to each end."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.dead = set()

    async def carry(self, reader, writer, lost):
        """Everything from one end to the other, until one of them has no more to say. `lost` loses it."""
        try:
            while data := await reader.read(CHUNK):
                if not lost() and writer not in self.dead:
                    writer.write(data)
                    await writer.drain()
            if not self.dead:
                writer.close()
        except OSError:
            if not self.dead:
                self.hang_up(writer)

    def hang_up(self, writer):
        self.dead.add(writer)
        reset(writer)


def reset(writer):
    """Ends a connection with a reset rather than with an end of stream."""
    wire = writer.get_extra_info("socket")
    if wire is not None and wire.fileno() >= 0:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
