"""The street's DNS: a server on UDP and TCP whose records a journey changes at any time, in the journey's own
process. A name it does not know does not exist. Nothing may be remembered for long (a TTL of one second)."""

import asyncio

from dnslib import CLASS, QTYPE, RCODE, RR, SOA, SRV, A, AAAA, CNAME, DNSRecord

from .namespace import NAMES

PORT = 53
# As Hearth's configuration wants it.
RESOLVER = f"{NAMES}:{PORT}"
TTL = 1
DATA = {"A": A, "AAAA": AAAA, "CNAME": CNAME, "SRV": lambda value: SRV(*value)}


class Names(asyncio.DatagramProtocol):
    """`asked` has every question so far, as (name, type). While `silent`, nobody gets an answer; names in
    `failing` get SERVFAIL."""

    def __init__(self):
        self.records, self.asked = {}, []
        self.silent, self.failing = False, set()

    async def open(self):
        """Answers from now on. Returns self."""
        loop = asyncio.get_running_loop()
        self.udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(NAMES, PORT))
        self.tcp = await asyncio.start_server(self._connected, NAMES, PORT)
        return self

    def close(self):
        self.udp.close()
        self.tcp.close()

    def set(self, name, kind, *values):
        """All records of that name and kind. An SRV is (priority, weight, port, target); without values there
        are none any more."""
        self.records[name.lower(), kind] = values

    def forget(self, name):
        """This name, and all below it, no longer exist."""
        self.records = {(known, kind): values for (known, kind), values in self.records.items()
                        if known != name and not known.endswith("." + name)}

    def datagram_received(self, data, address):
        if answer := self.answer(data):
            self.udp.sendto(answer, address)

    def connection_made(self, transport):
        self.udp = transport

    async def _connected(self, reader, writer):
        try:
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                if answer := self.answer(await reader.readexactly(length)):
                    writer.write(len(answer).to_bytes(2, "big") + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def answer(self, data):
        request = DNSRecord.parse(data)
        name, kind = str(request.q.qname).rstrip(".").lower(), QTYPE[request.q.qtype]
        self.asked.append((name, kind))
        if self.silent:
            return None
        reply = request.reply()
        if name in self.failing:
            reply.header.rcode = RCODE.SERVFAIL
            return reply.pack()
        for given in ("CNAME", kind):
            for value in self.records.get((name, given), ()):
                reply.add_answer(RR(name, getattr(QTYPE, given), CLASS.IN, TTL, DATA[given](value)))
        if not reply.rr:
            if not any(known == name or known.endswith("." + name) for known, _ in self.records):
                reply.header.rcode = RCODE.NXDOMAIN
            # How long it may be remembered that there is nothing (RFC 2308 §5).
            reply.add_auth(RR(name.rpartition(".")[2] or ".", QTYPE.SOA, CLASS.IN, TTL, SOA(
                "ns.street.example", "admin.street.example", (1, 60, 60, 60, TTL))))
        return reply.pack()
