"""The street's DNS: a server on UDP and TCP whose records a journey changes at any time, in the journey's
own process. A name it does not know does not exist."""

import asyncio

from dnslib import CLASS, QTYPE, RCODE, RR, SOA, SRV, A, AAAA, CNAME, DNSRecord

from .namespace import NAMES

PORT = 53
# As Hearth's configuration wants it.
RESOLVER = f"{NAMES}:{PORT}"
# A longer answer is fetched over TCP (RFC 1035 §4.2.1).
UDP_BYTES_MAX = 512
DATA = {"A": A, "AAAA": AAAA, "SRV": lambda value: SRV(*value)}


class Names(asyncio.DatagramProtocol):
    """`asked` has every question so far, as (name, type). Who asks for domains in `silent`, or names below
    them, gets no answer; for those in `failing`, SERVFAIL."""

    def __init__(self):
        self.records, self.asked = {}, []
        # How long answers may be remembered, in seconds.
        self.ttl = 1
        self.silent, self.failing = set(), set()

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
                        if not below(known, [name])}

    def datagram_received(self, data, address):
        answer = self.answer(data)
        if answer and len(answer) > UDP_BYTES_MAX:
            short = DNSRecord.parse(data).reply()
            short.header.tc = 1
            answer = short.pack()
        if answer:
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
        if below(name, self.silent):
            return None
        reply = request.reply()
        # Nothing is signed here (RFC 4035 §3.2.3).
        reply.header.ad = 0
        if below(name, self.failing):
            reply.header.rcode = RCODE.SERVFAIL
            return reply.pack()
        known = name
        for (target,) in iter(lambda: self.records.get((known, "CNAME"), ()), ()):
            reply.add_answer(RR(known, QTYPE.CNAME, CLASS.IN, self.ttl, CNAME(target)))
            known = target
        for value in self.records.get((known, kind), ()):
            reply.add_answer(RR(known, getattr(QTYPE, kind), CLASS.IN, self.ttl, DATA[kind](value)))
        if not reply.rr:
            if not any(below(known, [name]) for known, _ in self.records):
                reply.header.rcode = RCODE.NXDOMAIN
            # How long it may be remembered that there is nothing (RFC 2308 §5).
            reply.add_auth(RR(name.rpartition(".")[2] or ".", QTYPE.SOA, CLASS.IN, self.ttl, SOA(
                "ns.street.example", "admin.street.example", (1, 60, 60, 60, self.ttl))))
        return reply.pack()


def below(name, domains):
    return any(name == domain or name.endswith(f".{domain}") for domain in domains)
