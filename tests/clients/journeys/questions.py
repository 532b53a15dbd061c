"""What every client asks for at once, as slixmpp asks it: who is there (XEP-0030, 0115), is anybody there
(0199), which software, what time, since when (0092, 0202, 0012), the roster's version (RFC 6121 §2.6), and
its resource (RFC 6120 §7)."""

import asyncio
from datetime import datetime, timezone

from slixmpp.exceptions import IqError

from slixmpp_client import Slixmpp
from waiting import Failed, step, until

SERVERS = ("hearth", "prosody")

PASSWORD = "a password"
ROSTER = "{jabber:iq:roster}query"
# What the server itself offers, and what each account does.
SERVER_FEATURES = {
    "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items", "msgoffline",
    "jabber:iq:last", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time"}


async def go(server, directory):
    clients = []

    def at(localpart, resource="/desk"):
        client = Slixmpp(server, f"{localpart}@{server.domain}{resource}", PASSWORD)
        clients.append(client)
        return client

    try:
        with step("the server starts, and accounts can be added"):
            await server.start()
            for localpart in ("alice", "bob"):
                await server.add_user(localpart, PASSWORD)
        alice, bob = await at("alice").come_online(), await at("bob").come_online()
        await discover(server, alice)
        await ask(server, alice, bob)
        await be_told_no(server, alice)
        await keep_the_roster(at)
        await share_a_resource(server, at)
    except IqError as error:
        raise Failed(f"an error came instead: {error.iq}") from error
    finally:
        await asyncio.gather(*(client.leave() for client in clients), return_exceptions=True)


async def discover(server, alice):
    async def info(jid, node=None):
        answer = await alice["xep_0030"].get_info(jid, node=node, local=False, cached=False)
        return answer["disco_info"]

    with step("disco#info: the server is an IM server and says what it can do, and how to reach its people"):
        of_server = await info(server.domain)
        if ("server", "im") not in {(category, kind) for category, kind, *_ in of_server["identities"]}:
            raise Failed(f"identities: {of_server['identities']}")
        missing = SERVER_FEATURES - of_server["features"]
        if missing:
            raise Failed(f"not among the features: {missing}")
        if "http://jabber.org/network/serverinfo" not in str(of_server):
            raise Failed("no form with contact addresses (XEP-0157)")

    with step("disco#info of one's own account: registered"):
        own = await info(alice.boundjid.bare)
        if ("account", "registered") not in {(category, kind) for category, kind, *_ in own["identities"]}:
            raise Failed(f"identities: {own['identities']}")

    with step("disco#items of the server and of one's own account are answered"):
        for jid in (server.domain, alice.boundjid.bare):
            await alice["xep_0030"].get_items(jid, local=False)

    with step("the hash in the stream features is that of the answer (XEP-0115)"):
        caps = next((offer["caps"] for offer in alice.offers if "caps" in offer), None)
        if caps is None:
            raise Failed(f"no caps among {alice.offers[-1]}")
        promised = await info(server.domain, node=f"{caps['node']}#{caps['ver']}")
        found = alice["xep_0115"].generate_verstring(promised, caps["hash"])
        if found != caps["ver"]:
            raise Failed(f"{caps['ver']} is promised, {found} is what the answer gives")


async def ask(server, alice, bob):
    with step("ping: the server, one's own account, and another client that shows itself (RFC 6121 §8.5.3.1)"):
        bob.send_presence(pto=alice.boundjid.full)
        await bob["xep_0199"].send_ping(server.domain)  # by now the server has seen Bob's presence
        for jid in (server.domain, alice.boundjid.bare, bob.boundjid.full):
            await alice["xep_0199"].send_ping(jid)

    with step("version: what the server runs"):
        answer = await alice["xep_0092"].get_version(server.domain)
        software = answer["software_version"]
        if software["name"].lower() != server.name or not software["version"]:
            raise Failed(f"{answer}")

    with step("time: in UTC, and the right one"):
        answer = await alice["xep_0202"].get_entity_time(server.domain)
        # Not answer["entity_time"]["utc"]: this slixmpp appends a second Z before it reads the time.
        there = answer.xml.findtext(".//{urn:xmpp:time}utc")
        off = datetime.now(timezone.utc) - datetime.fromisoformat(there)
        if not there.endswith("Z") or abs(off.total_seconds()) > 60:
            raise Failed(f"{there} there")

    with step("last activity: how long the server has been up"):
        answer = await alice["xep_0012"].get_last_activity(server.domain)
        if not 0 <= answer["last_activity"]["seconds"] < 3600:
            raise Failed(f"{answer}")


async def be_told_no(server, alice):
    async def condition(to):
        try:
            await alice.make_iq_get(queryxmlns="urn:example:unheard-of", ito=to).send()
        except IqError as error:
            return error.iq["error"]["condition"]
        return None

    # RFC 6120 §8.4, RFC 6121 §8.5.
    with step("what nobody knows, or nobody is there to answer, is service-unavailable"):
        strangers = f"bob@{server.domain}/nobody", f"nobody@{server.domain}/x"
        for to in (server.domain, alice.boundjid.bare, *strangers):
            found = await condition(to)
            if found != "service-unavailable":
                raise Failed(f"{to}: {found}")


async def keep_the_roster(at):
    async def roster(client, version):
        """The items and the version of an answer; both None when it is empty."""
        iq = client.make_iq_get()
        iq["roster"]["ver"] = version
        query = (await iq.send()).xml.find(ROSTER)
        return (None, None) if query is None else ({item.get("jid") for item in query}, query.get("ver"))

    with step("a roster is versioned: nothing is sent again to who has it"):
        client = await at("bob", "/first").log_in()
        items, empty = await roster(client, "")
        if items != set() or not empty:
            raise Failed(f"a new account's roster: {items}, version {empty}")
        for contact in ("carol@example.org", "dave@example.org"):
            await client.update_roster(contact, name="A friend", groups=["friends", "far away"])
        await until("no push with a new version came",
                    lambda: client.client_roster.version not in ("", empty))
        pushed = client.client_roster.version
        await client.leave()
        client = await at("bob", "/second").log_in()
        if await roster(client, pushed) != (None, None):
            raise Failed("the whole roster came again")
        items, latest = await roster(client, "")
        if items != {"carol@example.org", "dave@example.org"} or latest != pushed:
            raise Failed(f"{items} in version {latest}; pushed was {pushed}")

    with step("and what changed reaches who has an old version"):
        await client.get_roster()
        await client.del_roster_item("dave@example.org")
        await client.leave()
        client = await at("bob", "/third").log_in()
        # Either the whole roster or pushes for the difference, as the server likes (§2.6.3).
        client.client_roster.version = pushed
        await client.get_roster()
        await client.settled()
        if client.client_roster.version == pushed:
            raise Failed("an old version was taken for the latest")
        items, _ = await roster(client, "")
        if items != {"carol@example.org"}:
            raise Failed(f"{items}")


async def share_a_resource(server, at):
    with step("who asks for no resource is given one, and two of them differ"):
        one, two = await at("alice", "").log_in(), await at("alice", "").log_in()
        if not one.boundjid.resource or one.boundjid == two.boundjid:
            raise Failed(f"{one.boundjid} and {two.boundjid}")

    with step("who asks for a resource in use gets it; the other one is told so (RFC 6120 §7.7.2.2)"):
        older = await at("alice", "/phone").come_online()
        newer = await at("alice", "/phone").come_online()
        await older.gone()
        if older.stream_errors != ["conflict"] or newer.boundjid.resource != "phone":
            raise Failed(f"the older one got {older.stream_errors}, the newer one is {newer.boundjid}")
        await newer.settled()
