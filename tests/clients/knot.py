"""Knot DNS, an authoritative name server that takes signed updates (RFC 2136, RFC 8945)."""

import base64
import os
import socket
import subprocess

ZONE = """$ORIGIN home.example.
@ 60 SOA ns1 hostmaster 1 3600 900 604800 60
@ 60 NS ns1
@ 60 MX 10 mail.elsewhere.example.
ns1 60 A {address}
www 60 A 192.0.2.200
"""
KNOT = """server:
    listen: {address}@{port}
    rundir: {directory}
database:
    storage: {directory}
key:
  - id: house
    algorithm: hmac-sha256
    secret: {secret}
  - id: writer
    algorithm: hmac-sha256
    secret: {secret}
  - id: guest
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: house
    key: house
    action: [update, transfer]
  - id: writer
    key: writer
    action: update
zone:
  - domain: home.example
    storage: {directory}
    file: home.example.zone
    acl: [house, writer]
"""


class Knot:
    """The name server of home.example, on a port of its own, or where the world looks for it."""

    def __init__(self, directory, address="127.0.0.1", port=None):
        self.directory = directory / "knot"
        self.directory.mkdir()
        self.address = address
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = port or free.getsockname()[1]
        self.secret = base64.b64encode(os.urandom(32)).decode()
        (self.directory / "home.example.zone").write_text(ZONE.format(address=self.address))
        self.process = None

    def start(self):
        config = self.directory / "knot.conf"
        config.write_text(KNOT.format(address=self.address, port=self.port, directory=self.directory, secret=self.secret))
        log = (self.directory / "knot.log").open("ab")
        self.process = subprocess.Popen(["/usr/sbin/knotd", "-c", str(config)], stdout=log, stderr=log)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def says(self, name, kind):
        """The data of all records of that name and kind, sorted."""
        command = ["kdig", "+short", "+norec", "+time=2", f"@{self.address}", "-p", str(self.port), f"{name}.", kind]
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return sorted(line for line in shown.splitlines() if not line.startswith(";"))
