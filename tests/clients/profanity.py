"""A person at profanity, the terminal client, in a pseudo-terminal: what it shows is read from the screen,
what is said to it is typed. It trusts the server's CA file alone (libstrophe takes OpenSSL's defaults, and
those come from the environment), so that a login without a question about the certificate is one over
verified TLS."""

import asyncio
import fcntl
import html
import os
import re
import struct
import termios

import pyte

from waiting import Failed, until

COLUMNS, LINES = 150, 50
# After so many seconds it tries to connect again; the least that is not "never".
RECONNECT_SECONDS = 1
# How often it is asked to ping the server, a second apart.
PINGS_MAX = 30

# No look for newer versions over the network, no notifications, no idling away.
PREFERENCES = """[ui]
vercheck=false
splash=false
history=false
[notifications]
message=off
room=off
[presence]
autoaway.mode=off
[chatstates]
outtype=false
[connection]
tls.certpath={nothing}
reconnect={reconnect}
"""


class Profanity:
    """`directory` is its home; it is made at the first start and kept over the next ones. With a `link` it
    connects through that, and by itself again when the connection was lost."""

    def __init__(self, server, directory, account, password, trust_server=True, link=None):
        self.server, self.account, self.password = server, account, password
        self.home = directory
        self.trust_server = trust_server
        self.link = link
        self.reconnect = RECONNECT_SECONDS if link else 0
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.process = self.terminal = None
        # How many of its connections were lost and of its sessions resumed; and messages once acknowledged.
        self.lost = self.resumed = self.acknowledged_messages = 0

    @property
    def port(self):
        """A server has none before it started."""
        return self.link.port if self.link else self.server.c2s

    async def start(self):
        """The program, not yet connected. Returns self."""
        nothing = self.home / "no-certificates"
        config = self.home / "config" / "profanity"
        config.mkdir(parents=True, exist_ok=True)
        nothing.mkdir(exist_ok=True)
        (config / "profrc").write_text(PREFERENCES.format(nothing=nothing, reconnect=self.reconnect))
        self.terminal, inside = os.openpty()
        fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
        os.set_blocking(self.terminal, False)
        self.process = await asyncio.create_subprocess_exec(
            "profanity", "--log", "DEBUG", "--logfile", str(self.home / "profanity.log"),
            stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
            env={"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8",
                 "HOME": str(self.home),
                 "XDG_CONFIG_HOME": str(self.home / "config"), "XDG_DATA_HOME": str(self.home / "data"),
                 "SSL_CERT_FILE": str(self.server.ca if self.trust_server else os.devnull),
                 "SSL_CERT_DIR": str(nothing)})
        os.close(inside)
        asyncio.get_running_loop().add_reader(self.terminal, self._read)
        await self.shows("Profanity")
        return self

    async def log_in(self):
        """Types the connect command and the password. Returns self when logged in."""
        await self.connect()
        await self.shows(f"{re.escape(self.account)}.* logged in successfully")
        return self

    async def connect(self):
        self.type(f"/connect {self.account} server {self.server.host} port {self.port} tls force")
        await self.shows("Enter password")
        self.type(self.password)

    async def leave(self):
        """Quits; the terminal closes with it."""
        if self.process is None:
            return
        if self.process.returncode is None:
            self.type("/quit")
        try:
            await asyncio.wait_for(self.process.wait(), 15)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()
        self._hang_up()

    def type(self, line):
        os.write(self.terminal, f"{line}\r".encode())

    def say(self, to, body):
        """A chat message; its window comes to the front."""
        self.type(f"/msg {to} {body}")

    async def hears(self, sender, body):
        """Waits for a message, in the window of its sender."""
        self.type(f"/msg {sender}")
        await self.shows(re.escape(body))

    async def settled(self):
        """The server has taken what was said so far: it answers in order. Leaves an almost empty console."""
        pings = '<iq id="([^"]*)"[^>]* type="get"><ping '
        before = len(self.wire("SENT", pings))
        for line in ("/win 1", "/clear"):
            self.type(line)
        sent = []
        for _ in range(PINGS_MAX):
            # Right after a login it does not know yet that the server answers pings, and sends none.
            self.type("/ping")
            try:
                sent = await until("no ping", lambda: self.wire("SENT", pings)[before:], seconds=1)
                break
            except Failed:
                continue
        if not sent:
            raise Failed(f"profanity did not send a ping:\n{self.text()}")
        await until("profanity's ping was not answered",
                    lambda: self.wire("RECV", f'<iq id="({re.escape(sent[0])})"'))

    def wire(self, direction, pattern):
        """What matched in the elements that it got ("RECV") or sent ("SENT"), in order, from its log."""
        log = self.home / "profanity.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        found = (re.search(f"DBG: {direction}: {pattern}", line) for line in lines)
        return [html.unescape(match[1]) for match in found if match]

    def bodies(self):
        """What was said to it so far, in order, as often as it came."""
        return self.wire("RECV", "<message [^>]*><body>(.*?)</body>")

    def unacknowledged(self):
        """How many messages it sent since everything was acknowledged."""
        return self._said() - self.acknowledged_messages

    async def acknowledged(self):
        """Waits until the server has taken what was said so far. Its counts it keeps to itself."""
        await self.settled()
        self.acknowledged_messages = self._said()

    def _said(self):
        return len(self.wire("SENT", "<message [^>]*><body>(.*?)</body>"))

    async def gone(self):
        """Waits until it knows that its connection is lost."""
        self.lost += 1
        await until("profanity does not see that its connection is lost",
                    lambda: self._logged("Lost connection") >= self.lost)

    async def come_back(self):
        """Waits until it is in its session again (XEP-0198 §5); it tries by itself."""
        self.resumed += 1
        await until(f"profanity did not resume its session:\n{self.text()}",
                    lambda: self._logged("Session resumed successfully") >= self.resumed)

    def _logged(self, text):
        return (self.home / "profanity.log").read_text(errors="replace").count(text)

    async def shows(self, pattern):
        """Waits until a line of the screen matches; returns the match."""
        return await until(
            lambda: f"profanity of {self.account} does not show {pattern!r}, but\n{self.text()}",
            lambda: re.search(pattern, self.text()))

    def text(self):
        """What is on the screen, without empty lines."""
        return "\n".join(line.rstrip() for line in self.screen.display if line.strip())

    def _read(self):
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            # The program has closed its side.
            data = b""
        if data:
            self.stream.feed(data)
        else:
            self._hang_up()

    def _hang_up(self):
        if self.terminal is not None:
            asyncio.get_running_loop().remove_reader(self.terminal)
            os.close(self.terminal)
            self.terminal = None
