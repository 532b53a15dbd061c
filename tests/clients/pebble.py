"""Pebble, the authority that those of Let's Encrypt test clients with: it checks signatures, looks for proofs and
refuses a fifth of all nonces. Beside it a server of the DNS that leads every name to this machine. What it trusts
and gives is gone when it ends."""

import asyncio
import json
import os
import socket
import ssl
import urllib.request
from pathlib import Path

from federation.authority import Authority
from waiting import until


class Pebble:
    """In `directory`; it looks for proofs at these ports of ours, and asks that name server, if there is one.
    `seconds` is how long its certificates are good."""

    def __init__(self, directory, http, https, seconds=90 * 86400, dns=None):
        self.directory = Path(directory)
        self.directory.mkdir()
        self.log = self.directory / "pebble.log"
        self.root = self.directory / "root.pem"
        self.ports = ports(3)
        self.proofs, self.seconds, self.dns = (http, https), seconds, dns
        self.authority = Authority(self.directory / "own")
        self.processes = []

    @property
    def url(self):
        return f"https://localhost:{self.ports[0]}/dir"

    async def start(self):
        listen, manage, dns = self.ports
        certificate, key = self.authority.issue("localhost")
        config = self.directory / "pebble.json"
        config.write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{listen}", "managementListenAddress": f"127.0.0.1:{manage}",
            "certificate": str(certificate), "privateKey": str(key), "httpPort": self.proofs[0],
            "tlsPort": self.proofs[1], "ocspResponderURL": "", "externalAccountBindingRequired": False,
            "certificateValidityPeriod": self.seconds}}))
        if not self.dns:
            await self._run("pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-defaultIPv6", "", "-http01", "",
                            "-https01", "", "-tlsalpn01", "", "-management", f"127.0.0.1:{ports(1)[0]}")
        # Every proof is looked for again, at once.
        await self._run("pebble", "-config", str(config), "-dnsserver", self.dns or f"127.0.0.1:{dns}",
                        PEBBLE_WFE_NONCEREJECT="20", PEBBLE_AUTHZREUSE="0", PEBBLE_VA_NOSLEEP="1")
        await until(lambda: f"pebble does not answer:\n{self.log.read_text()[-2000:]}", self._has_root)

    async def _run(self, *command, **environment):
        with self.log.open("ab") as log:
            self.processes.append(await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment}))

    def _has_root(self):
        trusted = ssl.create_default_context(cafile=self.authority.ca)
        try:
            with urllib.request.urlopen(f"https://localhost:{self.ports[1]}/roots/0", context=trusted) as answer:
                self.root.write_bytes(answer.read())
        except OSError:
            return False
        return True

    def orders(self):
        """How many were asked for, those with a bad nonce included."""
        return self.log.read_text().count("POST /order-plz")

    async def stop(self):
        for process in self.processes:
            if process.returncode is None:
                process.terminate()
                await process.wait()


def ports(count):
    """Free ones, as of now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()
