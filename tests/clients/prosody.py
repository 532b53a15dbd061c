"""Debian's Prosody 13 in a directory of its own: the server that shows whether a journey itself is right."""

import asyncio
import os
import socket
import subprocess

from servers import Server, run


class Prosody(Server):
    name = "prosody"
    # Plain passwords at rest: the only store of Prosody's that offers more than one hash.
    mechanisms = ("SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN")
    # Its port leaves the client's ALPN unanswered, which XEP-0368 §4 lets it.
    alpn = None

    def __init__(self, directory, domain="localhost"):
        super().__init__(directory)
        self.domain = domain
        self.ca = self.directory / "certificate.pem"
        self.config = self.directory / "prosody.cfg.lua"
        self.c2s, self.c2s_tls = free_ports(2)
        for needed in ("data", "certs"):
            (self.directory / needed).mkdir()
        make_certificate(self.domain, self.ca, self.directory / "key.pem")
        # Modules beyond those of every journey.
        self.further = []
        self.write_configuration()

    def write_configuration(self):
        self.config.write_text(CONFIG.format(
            directory=self.directory, domain=self.domain, c2s=self.c2s, c2s_tls=self.c2s_tls,
            further="".join(f'"{module}", ' for module in self.further),
            as_root="true" if os.getuid() == 0 else "false"))

    async def start(self):
        self.write_configuration()
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                "prosody", "-F", "--config", self.config, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        await self._accepts(self.c2s)
        await self._accepts(self.c2s_tls)

    def register_command(self):
        """For a shell, with {local}, {domain} and {password} left to be replaced."""
        return f"prosodyctl --config {self.config} register {{local}} {{domain}} {{password}}"

    async def add_user(self, localpart, password):
        await run("prosodyctl", "--config", self.config, "register", localpart, self.domain, password)


# What a household's server has, but for what adds to presence by itself (vCards). mod_posix and the admin socket
# stay away: nothing leaves the directory. Options other than Prosody's own choose what a specification asks for
# where Prosody leaves it to whoever runs it, or what the scripts are about.
CONFIG = """
run_as_root = {as_root}
data_path = "{directory}/data"
pidfile = "{directory}/prosody.pid"
plugin_paths = {{ }}
log = {{ info = "*stdout" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {c2s_tls} }}
s2s_ports = {{ }}
s2s_direct_tls_ports = {{ }}
http_ports = {{ }}
https_ports = {{ }}
c2s_require_encryption = true
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{
    "roster", "saslauth", "tls", "disco", "blocklist", "bookmarks", "carbons", "csi_simple", "lastactivity",
    "offline", "pep", "ping", "private", "server_contact_info", "smacks", "time", "uptime",
    "user_account_management", "vcard", "version", {further}
}}
modules_disabled = {{ "s2s", "s2s_auth_certs" }}
-- XEP-0191 §3.3 wants who is blocked told.
bounce_blocked_messages = true
-- As long as a script asks for at most.
smacks_hibernation_time = "1 hour"
contact_info = {{ abuse = {{ "mailto:abuse@{domain}" }} }}
ssl = {{ certificate = "{directory}/certificate.pem", key = "{directory}/key.pem" }}
c2s_direct_tls_ssl = {{ certificate = "{directory}/certificate.pem", key = "{directory}/key.pem" }}
VirtualHost "{domain}"
Component "pubsub.{domain}" "pubsub"
expose_publisher = true
add_permissions = {{ ["prosody:registered"] = {{ "pubsub:create-node" }} }}
-- Rooms as XEP-0045 has them where nobody configures anything: locked until their owner says how they shall be
-- (§10.1.2), and each with its archive.
Component "groupchat.{domain}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_room_locking = true
muc_room_default_public = false
muc_log_by_default = true
"""


def make_certificate(domain, certificate, key):
    """A self-signed certificate for `domain`, as Hearth makes one at its first start."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc",
         "-days", "2", "-subj", f"/CN={domain}", "-addext", f"subjectAltName=DNS:{domain}",
         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)


def free_ports(count):
    """Ports that nobody uses now, for a server that cannot be told to choose its own."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
