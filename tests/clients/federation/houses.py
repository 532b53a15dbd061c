"""A house on the street: a server that federates. `Terms` says how it may be, whichever server it is;
`hearth.py`, `prosody.py` and `ejabberd.py` beside this file say how to tell it that."""

from dataclasses import dataclass
from pathlib import Path

# The standard ports: what a server without SRV records is looked for at (RFC 6120 §3.2.1).
S2S, S2S_TLS = 5269, 5270
CLIENTS, CLIENTS_TLS = 5222, 5223


@dataclass
class Terms:
    """How a server meets others: `require_valid` wants a certificate in order from everybody but those in
    `insecure`; for them, and without it for all, dialback is enough."""

    require_valid: bool = True
    insecure: tuple = ()
    dialback: bool = True
    bidi: bool = True
    smacks: bool = True
    # Domains at the same server. Prosody alone.
    cottages: tuple = ()


@dataclass(frozen=True)
class Cottage:
    """A domain at a neighbour's, with a certificate of that kind. How it can make itself known: by SASL
    EXTERNAL (XEP-0178), by dialback (XEP-0220)."""

    domain: str
    kind: str
    external: bool = True
    dialback: bool = True


class House:
    """Mixed into a server, before it. The street gives it `domain`, `host`, `certificate`, `key` and `ca`."""

    # Where else than at `host` it listens for servers.
    also = ()
    # How much its log tells: "info" or "debug".
    log_level = "info"
    # What its rooms are called below its domain.
    rooms_name = "groupchat"
    certificate: Path
    key: Path

    def moves_in(self, domain, host, terms=None):
        """Its place on the street; its configuration is written when it starts."""
        self.domain, self.host = domain, host
        self.terms = terms or Terms()
        self.c2s, self.c2s_tls = CLIENTS, CLIENTS_TLS

    @property
    def rooms(self):
        return f"{self.rooms_name}.{self.domain}"
