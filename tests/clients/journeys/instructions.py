"""What a message costs the server in instructions, from the bytes of one wire to the bytes of the other and
with the rows for both archives: a number that does not depend on how busy the machine is. The load tool
(tests/bench/route.rs) routes in memory under valgrind's callgrind, which counts."""

import asyncio
import os
import re
import subprocess
from pathlib import Path

from waiting import Failed, step

# Nothing of a server is asked but what it is made of.
SERVERS = ("hearth",)

TOP = Path(__file__).resolve().parents[3]
BENCH = Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "release" / "bench"
MESSAGES = 1000
# `route` passes as many before it counts time, which callgrind counts too; and all of it twice, without and
# with the archives.
PASSED = 2 * (1000 + MESSAGES)
# Instructions on average; 33 700 when this was written, on a processor with AVX2. From here it only goes down.
INSTRUCTIONS_MAX = 37_000


async def go(server, directory):
    with step(f"a message takes at most {INSTRUCTIONS_MAX} instructions"):
        process = await asyncio.create_subprocess_exec(
            "valgrind", "--tool=callgrind", "--toggle-collect=*InMemory*pass*",
            f"--callgrind-out-file={directory}/callgrind", BENCH, "route", "--messages", str(MESSAGES),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            _, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        collected = re.search(rb"Collected : (\d+)", err)
        if process.returncode != 0 or not collected:
            raise Failed(err.decode(errors="replace"))
        each = int(collected[1]) / PASSED
        # Less than this, and something else was counted.
        if not INSTRUCTIONS_MAX / 4 < each <= INSTRUCTIONS_MAX:
            raise Failed(f"it takes {each:.0f}")
    print(f"        {each:.0f} instructions", flush=True)
