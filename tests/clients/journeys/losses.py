"""Nothing that was promised is lost: by `kill -9` under load, by power cuts under load on a real file system
(as the drive then has it, with its cache lost, and as copies of the disk show it), and by restarts while a
hundred sessions wait for their clients. The clients are those of the load tool (tests/bench), which are quick
enough.

Mounting file systems needs root, and loop devices; without them this fails."""

import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

from waiting import Failed, step

# What others keep, `scripts/bench loss` tells.
SERVERS = ("hearth",)

TOP = Path(__file__).resolve().parents[3]
BENCH = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug" / "bench"
# How often the server is killed, and how often each kind of power cut is made.
ROUNDS = 2
# What `loss` and `restart` tell figures of.
FIGURES = {"loss": 8, "restart": 3}


async def go(server, directory):
    with step(f"acknowledged messages survive SIGKILL and power cuts, {ROUNDS} rounds of each"):
        figures = await bench(server, "loss", "--cuts", str(ROUNDS))
        lost = {what: count for what, count in figures.items() if what.startswith("of them lost")}
        acknowledged = [count for what, count in figures.items() if what not in lost]
        if len(lost) != 4 or any(lost.values()) or not all(acknowledged):
            raise Failed(f"{figures}")
    print(f"        none of {sum(acknowledged):.0f} is lost", flush=True)

    with step("100 sessions wait over SIGTERM and SIGKILL, and have everything once and in order"):
        await bench(server, "restart")


async def bench(server, scenario, *options):
    """The figures of a scenario; one that could not be had, or that is a loss, is a failure."""
    if len(server.program) != 1:
        raise Failed(f"needs a binary, not {server.program}")
    as_root = [] if os.geteuid() == 0 else ["sudo"]
    process = await asyncio.create_subprocess_exec(
        *as_root, BENCH, scenario, "--only", "hearth", "--json", "--hearth", server.program[0], *options,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            # It takes its servers and file systems with it.
            process.send_signal(signal.SIGINT)
            await process.wait()
    if process.returncode != 0:
        raise Failed(f"{out.decode()}{err.decode()}")
    figures = json.loads(out)["hearth"]
    found = [value for value in figures.values() if isinstance(value, (int, float))]
    if len(found) != FIGURES[scenario] or len(found) != len(figures):
        raise Failed(f"{figures}")
    return figures
