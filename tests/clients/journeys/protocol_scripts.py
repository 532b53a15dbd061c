"""The scripts of tests/scripts over real sockets, through both doors. Where Prosody differs, the list beside the
scripts says why; a difference that it does not name fails, and so does one that is none any more."""

import asyncio
import os
import subprocess
from pathlib import Path

from waiting import Failed, step

SERVERS = ("hearth", "prosody")
# Hundreds of scripts, through two doors; where a server differs, a script waits some seconds for what does not come.
SECONDS_MAX = 1200

TOP = Path(__file__).resolve().parents[3]
PLAYER = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug" / "scripts"


async def go(server, directory):
    if server.name == "hearth":
        # Scripts fail to log in on purpose, all from the same address.
        server.further = "[limits]\nlogin_failures_per_minute = 0\n"
    else:
        server.further = ["mam", "cloud_notify"]
    with step("the server starts"):
        await server.start()
    for door, port, options in (("STARTTLS", server.c2s, ["--starttls"]), ("direct TLS", server.c2s_tls, [])):
        with step(f"every protocol script, over {door}"):
            await play(server, [*options, "--target", f"{server.host}:{port}"])


async def play(server, options):
    known = ["--differences", TOP / "tests/scripts/prosody-differences.txt"] if server.name == "prosody" else []
    process = await asyncio.create_subprocess_exec(
        PLAYER, *options, "--tls-ca", server.ca, "--domain", server.domain,
        "--register", server.register_command(), *known,
        cwd=TOP, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    if process.returncode != 0:
        quiet = ("passed ", "not applicable ", "differs ")
        raise Failed("\n".join(line for line in lines if not line.startswith(quiet)))
    print(f"        {lines[-1]}", flush=True)
