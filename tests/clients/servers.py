"""The servers that a journey can run against. `Server` is what a journey may know of one: where to connect,
which certificate to trust, and how to add accounts, stop it and pull its plug. `hearth.py` and `prosody.py`
are the two.

A server lives in one directory, listens on 127.0.0.1 alone, and keeps its ports over restarts, so that a
client which reconnects by itself finds it again."""

import asyncio
import signal
from pathlib import Path

from waiting import Failed, until


class Server:
    """A server in `directory`, not yet running. Subclasses say how to start it and how to add an account."""

    domain = "localhost"
    host = "127.0.0.1"
    # SASL mechanisms that must be offered and that slixmpp can do, strongest first.
    mechanisms = ()
    # What the direct TLS port selects of a client's ALPN (XEP-0368).
    alpn = "xmpp-client"
    # Addresses of the listeners, known once it has started.
    c2s: int
    c2s_tls: int
    # The port of the web, where clients are let in by ALPN as well; 0 = there is none.
    https = 0
    # A PEM file: whoever trusts it can verify the server's certificate.
    ca: Path

    def __init__(self, directory):
        self.directory = Path(directory)
        self.log = self.directory / "server.log"
        self.process = None

    async def start(self):
        """Returns when connections are accepted."""
        raise NotImplementedError

    async def add_user(self, localpart, password):
        """Works whether the server runs or not."""
        raise NotImplementedError

    async def stop(self):
        """SIGTERM, as a service manager does it; the server says goodbye to its clients."""
        if self.process and self.process.returncode is None:
            self.process.terminate()
            await self._gone("the server did not end after SIGTERM")

    async def kill(self):
        """SIGKILL: what was promised must be on the disk by now."""
        self.process.kill()
        await self._gone("the server did not end after SIGKILL")

    async def _gone(self, otherwise):
        try:
            await asyncio.wait_for(self.process.wait(), 20)
        except asyncio.TimeoutError:
            self.process.kill()
            raise Failed(otherwise) from None

    async def _accepts(self, port):
        """Waits for a listener of a server that does not say when it is ready."""
        async def accepts():
            try:
                _, writer = await asyncio.open_connection(self.host, port)
            except OSError:
                return False
            writer.close()
            return True
        attempt = None

        def connected():
            nonlocal attempt
            if self.process.returncode is not None:
                raise Failed(f"the server ended at its start:\n{self.tail()}")
            if attempt is None or attempt.done():
                if attempt is not None and attempt.result():
                    return True
                attempt = asyncio.ensure_future(accepts())
            return False
        await until(lambda: f"nobody listens on port {port}:\n{self.tail()}", connected)

    def tail(self, lines=25):
        """The end of the server's log, for a failure's report."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


async def run(*command, stdin="", expect=0, directory=None):
    """Runs a command to its end and returns its output; an exit status other than `expect` is a failure."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, cwd=directory)
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    except asyncio.TimeoutError:
        process.send_signal(signal.SIGKILL)
        raise Failed(f"{command[0]} did not end") from None
    if process.returncode != expect:
        raise Failed(f"{' '.join(map(str, command))}: exit {process.returncode}, not {expect}\n"
                     f"{out.decode()}{err.decode()}")
    return out.decode()
