"""Runs journeys: real clients against a real server, one line per thing that holds.

    run.py [--server hearth|prosody] [--hearth COMMAND] [--keep DIRECTORY] [JOURNEY…]

Every journey gets a fresh server in a fresh directory. Against Prosody it shows that the journey itself is
right: a step that only our own server passes would be a suspect. Ends with status 1 at the first step that
does not hold."""

import argparse
import asyncio
import logging
import os
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from federation import namespace
from federation.hearth import HearthHouse
from federation.prosody import ProsodyHouse
from hearth import Hearth
from journeys import (archive, bosh, bytestream, carbons, certificates, commands, component, converse_bosh,
                      converse_websocket, dns_knot, federation_certificates, federation_devices,
                      federation_faults, federation_names, federation_people, federation_restart,
                      federation_rooms, federation_streams, first_start, instructions, lift_profanity,
                      lift_slixmpp, lift_xmpp_js, login, losses, omemo, omemo_slixmpp, protocol_scripts,
                      questions, reachable, rooms, router, turn, two_people, upload, webrtc, websocket)
from prosody import Prosody
from waiting import Failed

# In the order in which a broken server shows itself soonest.
JOURNEYS = {
    "login": login,
    "two_people": two_people,
    "lift_slixmpp": lift_slixmpp,
    "lift_xmpp_js": lift_xmpp_js,
    "lift_profanity": lift_profanity,
    "bosh": bosh,
    "carbons": carbons,
    "archive": archive,
    "losses": losses,
    "instructions": instructions,
    "omemo": omemo,
    "omemo_slixmpp": omemo_slixmpp,
    "questions": questions,
    "rooms": rooms,
    "websocket": websocket,
    "converse_websocket": converse_websocket,
    "converse_bosh": converse_bosh,
    "component": component,
    "commands": commands,
    "upload": upload,
    "bytestream": bytestream,
    "turn": turn,
    "certificates": certificates,
    "router": router,
    "webrtc": webrtc,
    "first_start": first_start,
    "dns_knot": dns_knot,
    "reachable": reachable,
    "protocol_scripts": protocol_scripts,
    "federation_people": federation_people,
    "federation_names": federation_names,
    "federation_certificates": federation_certificates,
    "federation_streams": federation_streams,
    "federation_rooms": federation_rooms,
    "federation_devices": federation_devices,
    "federation_faults": federation_faults,
    "federation_restart": federation_restart,
}
TOP = Path(__file__).resolve().parents[2]
# A journey takes some seconds; under emulation a minute. Longer means that something hangs, unless the journey
# itself says how long it may take.
JOURNEY_SECONDS_MAX = 300


def main():
    parser = argparse.ArgumentParser(description="real clients against a real server")
    parser.add_argument("--server", choices=["hearth", "prosody"], default="hearth")
    parser.add_argument("--hearth", default=str(TOP / "target/release/hearth"), metavar="COMMAND",
                        help="the binary, or an emulator and the binary (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY",
                        help="where the files of a journey that fails are left, with the logs of all servers")
    parser.add_argument("journeys", nargs="*", metavar="JOURNEY",
                        help=f"of {', '.join(JOURNEYS)} (default: all)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.CRITICAL)
    # A journey says itself which configuration is meant.
    os.environ.pop("HEARTH_CONFIG", None)
    possible = [name for name in JOURNEYS if arguments.server in JOURNEYS[name].SERVERS]
    for name in arguments.journeys:
        if name not in possible:
            parser.error(f"no journey {name} with {arguments.server}; there are {', '.join(possible)}")
    chosen = arguments.journeys or possible
    # Those with neighbours go into a network of their own, together.
    away = [name for name in chosen if federated(name) and not namespace.inside()]
    for name in chosen:
        if name not in away and not asyncio.run(travel(name, arguments)):
            return 1
    if len(away) < len(chosen):
        print(f"{len(chosen) - len(away)} journeys against {arguments.server}: all hold", flush=True)
    if not away:
        return 0
    keep = ["--keep", arguments.keep.resolve()] if arguments.keep else []
    return namespace.again_inside(["--server", arguments.server, "--hearth", arguments.hearth, *keep, *away])


def federated(name):
    return name.startswith("federation_")


async def travel(name, arguments):
    """One journey; whatever it started is ended, and a failure is told with the end of the server's log."""
    print(f"{name} ({arguments.server})", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"journey-{name}-") as directory:
        directory = Path(directory)
        (directory / "server").mkdir()
        if arguments.server == "prosody":
            server = (ProsodyHouse if federated(name) else Prosody)(directory / "server")
        else:
            kind = HearthHouse if federated(name) else Hearth
            server = kind(directory / "server", shlex.split(arguments.hearth))
        seconds_max = getattr(JOURNEYS[name], "SECONDS_MAX", JOURNEY_SECONDS_MAX)
        try:
            await asyncio.wait_for(JOURNEYS[name].go(server, directory), seconds_max)
        except (Failed, asyncio.TimeoutError, OSError) as error:
            print(f"{name} failed: {str(error) or f'not done within {seconds_max} s'}\n"
                  f"the end of the server's log:\n{server.tail()}", file=sys.stderr, flush=True)
            if arguments.keep:
                # But for sockets.
                shutil.copytree(directory, arguments.keep / name, dirs_exist_ok=True,
                                ignore=lambda _, names: [name for name in names if name.endswith(".sock")])
            return False
        finally:
            await server.stop()
    print(f"  {name} holds ({time.monotonic() - began:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
