"""Two people call each other from their browsers, and no direct way leads from one to the other: all that their pages
have is the relay, with the words that Alice's and Bob's apps are told (XEP-0215). Data goes both ways, whichever way
each of them comes to the relay, and nothing is left of a call that is over."""

import json
from xml.etree import ElementTree as ET

from chromium import Chromium
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until

SERVERS = ("hearth",)

NS = "{urn:xmpp:extdisco:2}"
# Both ends are on this machine, which nobody could reach otherwise.
CONFIGURATION = """
[turn]
allow_peers = ["127.0.0.0/8"]
"""
# As the list of services has them: type and transport. The browser's name for the way to the relay.
UDP, TCP, TLS = ("turn", "udp", "udp"), ("turn", "tcp", "tcp"), ("turns", "tcp", "tls")
CALLS = ((UDP, UDP), (TCP, TCP), (TLS, TLS), (UDP, TLS))
MESSAGES = 50

# What a page does in a call.
SCRIPT = """
window.begin = servers => {
    const call = window.call = {heard: [], trouble: []};
    call.line = new RTCPeerConnection({iceServers: servers, iceTransportPolicy: "relay"});
    call.line.onicecandidateerror = event => call.trouble.push(`${event.url}: ${event.errorCode} ${event.errorText}`);
    call.gathered = new Promise(done => {
        call.line.onicegatheringstatechange = () => call.line.iceGatheringState === "complete" && done();
    });
    call.use = channel => {
        call.channel = channel;
        channel.onmessage = event => call.heard.push(event.data);
    };
    call.line.ondatachannel = event => call.use(event.channel);
};
window.describe = async () => {
    await call.line.setLocalDescription();
    await call.gathered;
    return JSON.stringify(call.line.localDescription);
};
window.ways = async () => {
    const stats = await call.line.getStats();
    const transport = [...stats.values()].find(one => one.type === "transport");
    const pair = stats.get(transport.selectedCandidatePairId);
    const [mine, theirs] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)];
    return [mine.candidateType, mine.relayProtocol, theirs.candidateType];
};
"""


async def go(server, directory):
    server.used += ("https", "stun", "turn_tls")
    server.further = CONFIGURATION
    await start(server, ALICE, BOB)
    people = [await Slixmpp(server, f"{jid}/desk", jid).come_online() for jid in (ALICE, BOB)]
    browser = Chromium(directory / "chromium", server.ca, server.https, ["--allow-loopback-in-peer-connection"])
    try:
        await browser.start()
        pages = [await browser.open("about:blank") for _ in people]
        for ways in CALLS:
            names = " and ".join(dict.fromkeys(way[2].upper() for way in ways))
            with step(f"two pages reach each other through the relay alone, over {names}"):
                await converse(server, people, pages, ways)
        with step("nothing is left of calls that are over"):
            await until_nothing_is_left(server)
    finally:
        await browser.leave()
        for person in people:
            await person.leave()


async def converse(server, people, pages, ways):
    before = await relayed(server)
    for person, page, way in zip(people, pages, ways):
        await page.evaluate(SCRIPT)
        await page.evaluate(f"begin({json.dumps([await told(server, person, way)])})")
    alice, bob = pages
    try:
        await connect(alice, bob)
    except Failed as failure:
        trouble = [await page.evaluate("[call.line.iceConnectionState, ...call.trouble]") for page in pages]
        raise Failed(f"{failure}; {trouble}") from None
    for page, (_, _, protocol) in zip(pages, ways):
        if (found := await page.evaluate("ways()")) != ["relay", protocol, "relay"]:
            raise Failed(f"the way is {found} instead of one over {protocol}")
    for page, other, name in ((alice, bob, "Alice"), (bob, alice, "Bob")):
        await page.evaluate(f"for (let at = 0; at < {MESSAGES}; at++) call.channel.send(`${{at}} from {name}`)")
        await other.until(f"what {name} said did not all arrive", f"call.heard.length === {MESSAGES}")
        heard = await other.evaluate("call.heard")
        if heard != [f"{at} from {name}" for at in range(MESSAGES)]:
            raise Failed(f"{name} was heard to say {heard}")
    for page in pages:
        await page.evaluate("call.line.close()")
    if (after := await relayed(server))["packets"] < before["packets"] + 2:
        raise Failed(f"the relay has counted {after} after {before}")


async def connect(alice, bob):
    """What one page says of itself reaches the other, as their apps would carry it."""
    await alice.evaluate("call.use(call.line.createDataChannel('words'))")
    offer = await alice.evaluate("describe()")
    await bob.evaluate(f"call.line.setRemoteDescription({offer})")
    answer = await bob.evaluate("describe()")
    await alice.evaluate(f"call.line.setRemoteDescription({answer})")
    for page in (alice, bob):
        await page.until("the pages do not reach each other", "call.channel?.readyState === 'open'")


async def told(server, person, way):
    """What the app is told of the relay, as the browser wants it."""
    request = person.make_iq_get(ito=server.domain)
    request.append(ET.Element(f"{NS}services"))
    answer = (await request.send()).xml.find(f"{NS}services")
    ports = {"turn": server.stun, "turns": server.turn_tls}
    for it in answer:
        if (it.get("type"), it.get("transport")) == way[:2] and int(it.get("port")) == ports[way[0]]:
            address = f"{it.get('type')}:{it.get('host')}:{it.get('port')}?transport={it.get('transport')}"
            return {"urls": address, "username": it.get("username"), "credential": it.get("password")}
    raise Failed(f"nothing was told of {way}")


async def relayed(server):
    return json.loads(await server.command("status", "--json"))["relay"]


async def until_nothing_is_left(server):
    """Pages that end a call tell the relay; who came by a stream takes it along."""
    left = await relayed(server)
    for _ in range(100):
        if not left["allocations"]:
            return
        left = await relayed(server)
    raise Failed(f"the relay has {left}")
