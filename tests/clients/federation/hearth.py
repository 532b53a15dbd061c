"""Hearth on the street."""

from hearth import LISTENERS, Hearth

from .houses import S2S, S2S_TLS, House
from .names import RESOLVER


class HearthHouse(House, Hearth):
    """`nameservers` and `allow_peers` go into its configuration as they are."""

    nameservers = (RESOLVER,)
    allow_peers = ()

    def moves_in(self, domain, host, terms=None):
        super().moves_in(domain, host, terms)
        self.http = 8080

    def write_configuration(self):
        if not hasattr(self, "terms"):
            return
        ports = {"c2s": self.c2s, "c2s_tls": self.c2s_tls, "http": self.http, "s2s": S2S, "s2s_tls": S2S_TLS}
        listen = "\n".join(f'{name} = ["{self.host}:{ports[name]}"]' if name in ports else f"{name} = []"
                           for name in LISTENERS)
        self.config.write_text(CONFIG.format(
            domain=self.domain, listen=listen, certificate=self.certificate, key=self.key, ca=self.ca,
            nameservers=quoted(self.nameservers), require_valid=str(self.terms.require_valid).lower(),
            insecure=quoted(self.terms.insecure), allow_peers=quoted(self.allow_peers), further=self.further))


def quoted(texts):
    return "[" + ", ".join(f'"{text}"' for text in texts) + "]"


CONFIG = """
domain = "{domain}"
data_dir = "data"
admins = ["alice@{domain}"]
[listen]
{listen}
[tls]
mode = "files"
certificate = "{certificate}"
key = "{key}"
extra_ca = "{ca}"
[resolver]
nameservers = {nameservers}
[s2s]
require_valid_certificate = {require_valid}
insecure = {insecure}
[turn]
allow_peers = {allow_peers}
{further}
"""
