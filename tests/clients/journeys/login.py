"""Who gets in and who does not: every port, mechanism and version of TLS that slixmpp knows (RFC 6120 §5, §6,
XEP-0368)."""

import ssl

from prosody import make_certificate
from slixmpp_client import Slixmpp
from waiting import Failed, step

SERVERS = ("hearth", "prosody")

PASSWORD = "correct horse"
# SASLprep (RFC 4013) makes these equal: Roman numeral nine and its letters, no-break space and space.
PREPARED, TYPED = "IX pässwörd", "\u2168\u00a0pässwörd"


async def go(server, directory):
    if server.name == "hearth":
        server.used += ("https",)
    with step("the server starts, and accounts can be added"):
        await server.start()
        await server.add_user("alice", PASSWORD)
        await server.add_user("zoë", TYPED)

    async def enters(jid=f"alice@{server.domain}", password=PASSWORD, **how):
        client = await Slixmpp(server, jid, password, **how).log_in()
        await client.leave()
        if not client.closed_by_both:
            raise Failed(f"{jid} closed its stream, and the server did not (RFC 6120 §4.4)")
        return client

    async def refused(jid, password, **how):
        """The SASL condition with which the first attempt ended."""
        client = Slixmpp(server, jid, password, **how)
        await client.try_to_log_in()
        if client.sessionstarted or not client.failures:
            raise Failed(f"{jid} got in" if client.sessionstarted else f"{jid} got no SASL failure")
        return client.failures[0]

    with step("before TLS there is STARTTLS and no mechanism; after it, the same list on both ports"):
        over_starttls, direct = await enters(), await enters(direct_tls=True)
        before, after = over_starttls.offers[0], over_starttls.offers[1]
        if "starttls" not in before or "mechanisms" in before:
            raise Failed(f"before TLS: {before}")
        if after["mechanisms"] != direct.offers[0]["mechanisms"]:
            raise Failed(f"{after['mechanisms']} on one port, {direct.offers[0]['mechanisms']} on the other")
        missing = set(server.mechanisms) - after["mechanisms"]
        if missing:
            raise Failed(f"not offered: {missing}")

    for mechanism in server.mechanisms:
        with step(f"{mechanism}, over STARTTLS and direct TLS"):
            await enters(mechanism=mechanism)
            await enters(mechanism=mechanism, direct_tls=True)

    with step("TLS 1.2 and TLS 1.3"):
        await enters(tls=ssl.TLSVersion.TLSv1_2, mechanism="SCRAM-SHA-1")
        await enters(tls=ssl.TLSVersion.TLSv1_3)

    with step("over TLS 1.2 a client that tries a channel binding of its own still gets in"):
        # slixmpp takes the strongest -PLUS mechanism there with tls-unique, then goes down its list.
        await enters(tls=ssl.TLSVersion.TLSv1_2)

    with step(f"direct TLS selects {server.alpn or 'nothing'} by ALPN"):
        if direct.alpn != server.alpn:
            raise Failed(f"selected: {direct.alpn}")

    if server.https:
        with step("the port of the web is a client's, too, if it says so by ALPN (XEP-0368)"):
            for mechanism in server.mechanisms:
                by_https = await enters(by_https=True, mechanism=mechanism)
            if by_https.alpn != "xmpp-client":
                raise Failed(f"selected: {by_https.alpn}")

    with step("a password is the same however it was typed, and a localpart need not be ASCII"):
        for password in (PREPARED, TYPED):
            for mechanism in server.mechanisms:
                await enters(f"zoë@{server.domain}", password, mechanism=mechanism)

    with step("a wrong password and an unknown account get the same answer"):
        for mechanism in server.mechanisms:
            for jid in ("alice", "nobody"):
                condition = await refused(f"{jid}@{server.domain}", "wrong", mechanism=mechanism)
                if condition != "not-authorized":
                    raise Failed(f"{mechanism}, {jid}: {condition}")

    with step("the right password still gets in afterwards"):
        await enters()

    with step("a client that trusts another authority goes away"):
        other = directory / "other.pem"
        make_certificate(server.domain, other, directory / "other-key.pem")
        for direct_tls in (False, True):
            client = Slixmpp(server, f"alice@{server.domain}", PASSWORD, direct_tls=direct_tls, ca=other)
            await client.try_to_log_in()
            if client.sessionstarted or "certificate verify failed" not in str(client.no_tls):
                raise Failed(f"it did not refuse the certificate: {client.no_tls}")
