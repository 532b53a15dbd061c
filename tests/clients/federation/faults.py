"""A bad line before a house: a proxy at an address of its own, which the house's names give instead. TLS
passes through it unopened. Every connection goes by what the line is like when it is made, and can be hit
by more later."""

import asyncio

from link import CHUNK, reset

from .houses import S2S


class Line:
    """To port 5269 of `target`; listens on the same port of `host`."""

    def __init__(self, host, target):
        self.host, self.target = host, target
        # While this is cleared, connections are taken, and not answered until it is set.
        self.answers = asyncio.Event()
        self.answers.set()
        # They are reset at once.
        self.dead = False
        # They are reset after so many bytes, both ways counted.
        self.cut_after = None
        # Seconds that each piece takes, and the largest piece in bytes.
        self.delay, self.piece = 0.0, CHUNK
        # How many there were.
        self.connections = 0
        self.wires, self.tasks = [], set()

    async def open(self):
        """Takes connections from now on. Returns self."""
        self.listener = await asyncio.start_server(self._connected, self.host, S2S)
        return self

    def close(self):
        self.listener.close()
        self.reset()

    def reset(self):
        """All connections that there are end with a reset, at both ends."""
        for wire in self.wires:
            wire.hang_up()
        self.wires.clear()

    def freeze(self):
        """On the connections that there are, nothing arrives any more, and nobody is told."""
        for wire in self.wires:
            wire.frozen = True

    async def _connected(self, reader, writer):
        self.connections += 1
        if self.dead:
            reset(writer)
            return
        wire = Wire(self, writer)
        self.wires.append(wire)
        await self.answers.wait()
        if wire.ended:
            return
        try:
            onward, wire.there = await asyncio.open_connection(self.target, S2S)
        except OSError:
            wire.hang_up()
            return
        for end in (wire.carry(reader, wire.there), wire.carry(onward, writer)):
            task = asyncio.ensure_future(end)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)


class Wire:
    """One connection through the line; `here` is who made it."""

    def __init__(self, line, here):
        self.line, self.here, self.there = line, here, None
        self.cut_after = line.cut_after
        self.bytes = 0
        self.frozen = self.ended = False

    async def carry(self, reader, writer):
        try:
            while data := await reader.read(self.line.piece):
                if self.line.delay:
                    await asyncio.sleep(self.line.delay)
                if self.frozen:
                    continue
                left = None if self.cut_after is None else max(0, self.cut_after - self.bytes)
                self.bytes += len(data)
                writer.write(data[:left])
                await writer.drain()
                if left is not None and left <= len(data):
                    self.hang_up()
                    return
            if not self.frozen:
                writer.close()
        except OSError:
            if not self.frozen:
                self.hang_up()

    def hang_up(self):
        self.ended = True
        for writer in (self.here, self.there):
            if writer is not None:
                reset(writer)
