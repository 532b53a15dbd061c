"""Debian's Prosody 13 on the street: a neighbour, or in Hearth's place. It may have cottages: further domains
in the same process, each with a certificate of its own."""

import os

from prosody import Prosody

from .houses import S2S, S2S_TLS, House


class ProsodyHouse(House, Prosody):
    """`issue(domain, kind)` gives a certificate and a key; the street brings it."""

    rooms_name = "conference"

    def write_configuration(self):
        if not hasattr(self, "terms"):
            return
        terms = self.terms
        modules = {"dialback": terms.dialback, "s2s_bidi": terms.bidi, "smacks": terms.smacks}
        hosts = [HOST.format(domain=self.domain, certificate=self.certificate, key=self.key, further="")]
        for domain, kind in terms.cottages.items():
            certificate, key = self.issue(domain, kind)
            # Its clients see a certificate in order: only the servers it talks to are to doubt it.
            hosts.append(COTTAGE.format(domain=domain, certificate=certificate, key=key))
        self.config.write_text(CONFIG.format(
            directory=self.directory, domain=self.domain, host=self.host, ca=self.ca,
            c2s=self.c2s, c2s_tls=self.c2s_tls, s2s=S2S, s2s_tls=S2S_TLS, rooms=self.rooms,
            certificate=self.certificate, key=self.key,
            modules="".join(f'"{name}", ' for name, wanted in modules.items() if wanted),
            disabled="".join(f'"{name}", ' for name in ("s2s_auth_certs",) if not terms.external),
            require_valid=str(terms.require_valid).lower(),
            insecure=", ".join(f'"{domain}"' for domain in terms.insecure),
            hosts="\n".join(hosts), as_root="true" if os.getuid() == 0 else "false"))

    async def add_user(self, localpart, password):
        from servers import run
        await run("prosodyctl", "--config", self.config, "register", localpart, self.domain, password)


# `s2s_timeout` is how long it waits for a neighbour who does not answer.
CONFIG = """
run_as_root = {as_root}
data_path = "{directory}/data"
pidfile = "{directory}/prosody.pid"
plugin_paths = {{ }}
log = {{ debug = "*stdout" }}
interfaces = {{ "{host}" }}
c2s_ports = {{ {c2s} }}
c2s_direct_tls_ports = {{ {c2s_tls} }}
s2s_ports = {{ {s2s} }}
s2s_direct_tls_ports = {{ {s2s_tls} }}
http_ports = {{ }}
https_ports = {{ }}
c2s_require_encryption = true
s2s_require_encryption = true
s2s_secure_auth = {require_valid}
s2s_insecure_domains = {{ {insecure} }}
s2s_timeout = "10 s"
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{
    "s2s", "roster", "saslauth", "tls", "disco", "blocklist", "bookmarks", "carbons", "lastactivity", "offline", "pep",
    "ping", "time", "uptime", "vcard4", "vcard_legacy", "version", "mam", {modules}
}}
modules_disabled = {{ {disabled} }}
-- XEP-0191 §3.3 wants who is blocked told.
bounce_blocked_messages = true
ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{ca}" }}
c2s_ssl = {{ certificate = "{certificate}", key = "{key}" }}
c2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
s2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
{hosts}
Component "{rooms}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_log_by_default = true
"""
HOST = """
VirtualHost "{domain}"
"""
COTTAGE = """
VirtualHost "{domain}"
s2s_ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{ca}" }}
"""
