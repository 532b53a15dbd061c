"""A network of the journey's own: one loopback interface that no packet leaves and nobody else uses, so
that every server can have port 5269, and /etc/resolv.conf as `names.py` wants it. Both end with the last
process inside. Takes root, as mounting does."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Where the test's DNS listens inside.
NAMES = "127.0.0.53"
# Says to the process inside that it is there.
INSIDE = "JOURNEY_NAMESPACE"


def inside():
    return INSIDE in os.environ


def again_inside(arguments):
    """Runs `run.py ARGUMENTS…` in a new namespace; returns its exit status."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "--preserve-env"]
    with tempfile.TemporaryDirectory(prefix="journey-namespace-") as directory:
        resolv = Path(directory) / "resolv.conf"
        resolv.write_text(f"nameserver {NAMES}\noptions attempts:1 timeout:2\n")
        return subprocess.run(
            [*as_root, "unshare", "--net", "--mount", "--propagation", "private", "--",
             "sh", "-c", 'ip link set lo up && mount --bind "$0" /etc/resolv.conf && exec "$@"', resolv,
             sys.executable, Path(__file__).resolve().parents[1] / "run.py", *arguments],
            env={**os.environ, INSIDE: "1"}, check=False).returncode
