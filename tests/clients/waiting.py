"""Waiting for what somebody else does: always for a condition, always with a deadline."""

import asyncio
import time
from contextlib import contextmanager

# Long enough for a login under emulation on a busy machine, short enough for a person waiting for the
# verdict.
SECONDS = 30.0
# How often a condition is looked at. Clients and server run meanwhile.
LOOK_EVERY = 0.02


class Failed(Exception):
    """What went wrong, in words for the last line of a run."""


async def until(what, condition, seconds=SECONDS):
    """Returns the first true value of `condition()`, or fails with `what`, which may be a function too."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Failed(f"{what() if callable(what) else what} (waited {seconds:.0f} s)")
        await asyncio.sleep(LOOK_EVERY)
    return value


@contextmanager
def step(text):
    """One line on the screen for one thing that must hold."""
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(f"  FAIL  {text}", flush=True)
        raise
    print(f"  ok    {text} ({time.monotonic() - began:.1f} s)", flush=True)
