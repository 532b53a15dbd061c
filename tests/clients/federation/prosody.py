"""Debian's Prosody 13 on the street: a neighbour, or in Hearth's place. It may have cottages: further
domains in the same process, each with a certificate of its own."""

import os
from pathlib import Path

from prosody import Prosody

from .houses import S2S, S2S_TLS, House


class ProsodyHouse(House, Prosody):
    """`issue(domain, kind)` gives a certificate and a key; the street brings it."""

    rooms_name = "conference"

    def write_configuration(self):
        if not hasattr(self, "terms"):
            return
        terms = self.terms
        wanted = {"dialback": terms.dialback, "s2s_bidi": terms.bidi, "smacks": terms.smacks}
        self.config.write_text(CONFIG.format(
            directory=self.directory, plugins=Path(__file__).parent, log_level=self.log_level,
            domain=self.domain, rooms=self.rooms, ca=self.ca,
            c2s=self.c2s, c2s_tls=self.c2s_tls, s2s=S2S, s2s_tls=S2S_TLS,
            hosts=lua((self.host, *self.also)),
            certificate=self.certificate, key=self.key, as_root=lua(os.getuid() == 0),
            modules=lua([name for name in wanted if wanted[name]]),
            require_valid=lua(terms.require_valid), insecure=lua(terms.insecure),
            cottages="".join(self._cottage(cottage) for cottage in terms.cottages)))

    def _cottage(self, cottage):
        shown, shown_key = self.issue(cottage.domain, cottage.kind)
        certificate, key = self.issue(cottage.domain, "valid")
        return COTTAGE.format(
            domain=cottage.domain, shown=shown, shown_key=shown_key, ca=self.ca,
            certificate=certificate, key=key, enabled=lua([] if cottage.external else ["no_external"]),
            disabled=lua([] if cottage.dialback else ["dialback"]))


def lua(value):
    """A truth value, or the inside of a table of strings."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(f'"{text}"' for text in value)


# `s2s_timeout` is how long it waits for a neighbour who does not answer.
CONFIG = """
run_as_root = {as_root}
data_path = "{directory}/data"
pidfile = "{directory}/prosody.pid"
plugin_paths = {{ "{plugins}" }}
log = {{ {log_level} = "*stdout" }}
interfaces = {{ {hosts} }}
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
    "s2s", "roster", "saslauth", "tls", "disco", "blocklist", "bookmarks", "carbons", "lastactivity", "offline",
    "pep", "ping", "time", "uptime", "vcard4", "vcard_legacy", "version", "mam", {modules}
}}
-- XEP-0191 §3.3 wants who is blocked told.
bounce_blocked_messages = true
ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{ca}" }}
c2s_ssl = {{ certificate = "{certificate}", key = "{key}" }}
c2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
s2s_direct_tls_ssl = {{ certificate = "{certificate}", key = "{key}" }}
VirtualHost "{domain}"
{cottages}
Component "{rooms}" "muc"
modules_enabled = {{ "muc_mam" }}
muc_log_by_default = true
"""
# Its clients see a certificate in order: only the servers it talks to are to doubt it. Whoever says so lives
# there.
COTTAGE = """
VirtualHost "{domain}"
s2s_ssl = {{ certificate = "{shown}", key = "{shown_key}", cafile = "{ca}" }}
s2s_direct_tls_ssl = {{ certificate = "{shown}", key = "{shown_key}" }}
c2s_ssl = {{ certificate = "{certificate}", key = "{key}" }}
authentication = "insecure"
insecure_open_authentication = "Yes please, I know what I'm doing!"
modules_enabled = {{ {enabled} }}
modules_disabled = {{ {disabled} }}
"""
