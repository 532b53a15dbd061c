"""Debian's Chromium without a window, driven over the DevTools protocol. It sees nothing but loopback, and
believes the one certificate that it is told of."""

import asyncio
import base64
import hashlib
import itertools
import json
import os
import signal
import subprocess
import tempfile

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from page import Page
from waiting import SECONDS, Failed, until

OPTIONS = ("--headless", "--disable-gpu", "--window-size=1280,900", "--remote-debugging-port=0",
           # Nothing that it does by itself.
           "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--disable-default-apps", "--disable-breakpad",
           # Two people are looked at at once, each in a window that is in front for them.
           "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
           "--disable-backgrounding-occluded-windows")
# The largest thing that it says is a screenshot.
MESSAGE_BYTES_MAX = 50_000_000


class Chromium:
    """`directory` has its log. `ca` is the certificate that it believes without asking, and `https` the port on which
    it finds what others have on 443. `further` are options that most who use it do not need."""

    def __init__(self, directory, ca, https, further=()):
        self.directory = directory
        self.ca = ca
        self.https = https
        self.further = further
        self.profile = self.process = self.http = self.line = self.reading = None
        self.numbers = itertools.count(1)
        # By number: who waits for an answer. By session: the pages.
        self.waiting, self.pages = {}, {}

    async def start(self):
        """Until it can be told what to do. Returns self."""
        self.directory.mkdir()
        # Not beside the log: nobody would want to keep that.
        self.profile = tempfile.TemporaryDirectory(prefix="journey-chromium-", ignore_cleanup_errors=True)
        log = self.directory / "chromium.log"
        key = x509.load_pem_x509_certificate(self.ca.read_bytes()).public_key()
        key = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        options = [
            *OPTIONS, *self.further, f"--user-data-dir={self.profile.name}",
            f"--ignore-certificate-errors-spki-list={base64.b64encode(key).decode()}",
            # Calls look for names with a dot behind.
            f"--host-resolver-rules=MAP localhost:443 127.0.0.1:{self.https}, MAP localhost 127.0.0.1, "
            "MAP localhost. 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            # Whatever is not on loopback is asked for there, and nobody is there.
            "--proxy-server=http://127.0.0.1:1"]
        if os.geteuid() == 0:
            # Root is nobody whom its sandbox could keep in.
            options.append("--no-sandbox")
        with log.open("wb") as out:
            self.process = await asyncio.create_subprocess_exec(
                "chromium", *options, "about:blank", stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                # Names of files are UTF-8.
                env={"PATH": os.environ["PATH"], "HOME": self.profile.name, "LC_ALL": "C.UTF-8"},
                start_new_session=True)

        def listening():
            if self.process.returncode is not None:
                raise Failed(f"chromium ended at its start:\n{log.read_text(errors='replace')}")
            said = log.read_text(errors="replace").partition("DevTools listening on ")[2]
            return said.partition("\n")[0] if "\n" in said else None
        address = await until(lambda: f"chromium is not ready:\n{log.read_text(errors='replace')}", listening)
        self.http = aiohttp.ClientSession()
        self.line = await self.http.ws_connect(address, max_msg_size=MESSAGE_BYTES_MAX)
        self.reading = asyncio.ensure_future(self._read())
        return self

    async def open(self, address):
        """A page that shares nothing with the others: other cookies, other storage, another person."""
        context = (await self.do("Target.createBrowserContext"))["browserContextId"]
        target = (await self.do("Target.createTarget", url="about:blank", browserContextId=context))["targetId"]
        session = (await self.do("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session)
        for what in ("Page.enable", "Runtime.enable", "Network.enable"):
            await page.do(what)
        await page.do("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.do("Page.navigate", url=address)
        return page

    async def do(self, method, session=None, **parameters):
        """One command of the protocol, and its result."""
        number = next(self.numbers)
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        await self.line.send_str(json.dumps(message | ({"sessionId": session} if session else {})))
        try:
            return await asyncio.wait_for(answer, SECONDS)
        except asyncio.TimeoutError:
            raise Failed(f"chromium does not answer to {method}") from None
        finally:
            self.waiting.pop(number, None)

    async def leave(self):
        if self.line is not None:
            await self.line.close()
            await self.reading
        if self.http is not None:
            await self.http.close()
        if self.process is not None:
            # With what it started itself. Nothing of it is worth a goodbye.
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            await self.process.wait()
        if self.profile is not None:
            self.profile.cleanup()

    async def _read(self):
        async for frame in self.line:
            if frame.type != aiohttp.WSMsgType.TEXT:
                break
            message = json.loads(frame.data)
            if "id" not in message:
                if page := self.pages.get(message.get("sessionId")):
                    page.happened(message["method"], message["params"])
            elif (answer := self.waiting.get(message["id"])) and not answer.done():
                if "error" in message:
                    answer.set_exception(Failed(f"chromium: {message['error']['message']}"))
                else:
                    answer.set_result(message["result"])
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_exception(Failed("chromium is gone"))
