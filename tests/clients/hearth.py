"""Hearth as its command line has it, in a directory of its own. `ready` on stdout
says which ports it has."""

import asyncio
import json
import subprocess

from servers import Server, run
from waiting import SECONDS, Failed

# Every listener of the contract.
LISTENERS = ("c2s", "c2s_tls", "s2s", "s2s_tls", "https", "http", "component", "stun", "turn_tls", "proxy65")
USED = ("c2s", "c2s_tls", "http", "component")


class Hearth(Server):
    """`program` is the command that runs the binary, a list: an emulator may stand in front of it."""

    name = "hearth"
    mechanisms = ("SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")

    def __init__(self, directory, program):
        super().__init__(directory)
        self.program = program
        self.config = self.directory / "hearth.toml"
        self.ca = self.directory / "data" / "tls" / "self-signed.pem"
        self.c2s = self.c2s_tls = self.https = self.http = self.component = self.stun = self.turn_tls = 0
        # Which of them a journey uses; those that are not used stay switched off. Where, if not at the usual address.
        self.used = USED
        self.elsewhere = {}
        # What stands before every subcommand, and where it runs.
        self.options = ["--config", str(self.config)]
        self.working_directory = self.directory
        self.output = None
        # Further lines of the configuration.
        self.further = ""
        self.write_configuration()

    async def start(self):
        """On port 0 the first time, then on the ports that were chosen."""
        self.write_configuration()
        await self.serve()

    def write_configuration(self):
        ports = {name: getattr(self, name) for name in self.used}
        listen = "\n".join(f'{name} = ["{self.elsewhere.get(name, self.host)}:{ports[name]}"]' if name in ports else f"{name} = []"
                           for name in LISTENERS)
        self.config.write_text(f'domain = "{self.domain}"\ndata_dir = "data"\nadmins = ["alice@{self.domain}"]\n[listen]\n{listen}\n{self.further}')

    async def serve(self):
        """Runs the server with whatever configuration it finds, and reads where it listens."""
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.program, *self.options, "serve", stdin=subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=log, cwd=self.working_directory)
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), SECONDS)
        except asyncio.TimeoutError:
            raise Failed(f"hearth was not ready within {SECONDS:.0f} s:\n{self.tail()}") from None
        if not line.startswith(b"ready "):
            raise Failed(f"hearth said {line!r} instead of ready:\n{self.tail()}")
        for name, addresses in json.loads(line.removeprefix(b"ready ")).items():
            if name in self.used and addresses:
                setattr(self, name, int(addresses[0].rpartition(":")[2]))
        # Nothing else is expected there, but a full pipe would stop the server.
        self.output = asyncio.ensure_future(self.process.stdout.read())

    def register_command(self):
        """For a shell, with {local}, {domain} and {password} left to be replaced."""
        hearth = " ".join([*self.program, *self.options])
        return f"echo {{password}} | {hearth} user add {{local}}@{{domain}} --password-stdin"

    async def add_user(self, localpart, password):
        jid = f"{localpart}@{self.domain}"
        await self.command("user", "add", jid, "--password-stdin", stdin=f"{password}\n")

    async def command(self, *arguments, stdin="", expect=0):
        """Runs `hearth ARGUMENTS…` beside the server or without it; returns what it printed."""
        return await run(*self.program, *self.options, *arguments, stdin=stdin, expect=expect,
                         directory=self.working_directory)
