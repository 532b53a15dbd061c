"""Over BOSH, by https (XEP-0124, XEP-0206): log in, chat, lose an answer and have it again, pause, come back
to the same session after a wrong request, and what pages in browsers and compliance testers ask first."""

import asyncio
import re

from bosh_client import Bosh, http, links
from waiting import Failed, step

SERVERS = ("hearth",)

PASSWORD = "correct horse"


def has(answer, *parts):
    for part in parts:
        if part not in answer.text:
            raise Failed(f"{part!r} is not in {answer.text!r}")
    return answer


async def go(server, directory):
    server.used += ("https",)
    with step("the server starts"):
        await server.start()
        for localpart in ("alice", "bob"):
            await server.add_user(localpart, PASSWORD)

    with step("host-meta names the address, and pages from anywhere may ask there"):
        found = await links(server)
        if found["urn:xmpp:alt-connections:xbosh"] != f"https://{server.domain}:{server.https}/http-bind":
            raise Failed(f"{found}")
        for method in ("OPTIONS", "GET", "HEAD", "POST"):
            answer = await http(server, method, headers=["Origin: null"])
            if answer.status > 299 or answer.headers.get("access-control-allow-origin") != "*":
                raise Failed(f"{method}: {answer.status} {answer.headers}")

    with step("what is too large, or not over https, is refused"):
        answer = await http(server, "POST", body="x" * 1_100_000)
        if answer.status != 200 or "condition='policy-violation'" not in answer.text:
            raise Failed(f"{answer.status} {answer.text}")
        answer = await http(server, "POST", body="<body/>", tls=False)
        there = f"https://{server.domain}:{server.https}/http-bind"
        if (answer.status, answer.headers.get("location")) != (308, there):
            raise Failed(f"{answer.status} {answer.headers}")

    alice, bob = Bosh(server, "alice", PASSWORD), Bosh(server, "bob", PASSWORD, rid=7)
    with step("two people log in"):
        for who in (alice, bob):
            has(await who.log_in(), f"<jid>{who.localpart}@{server.domain}/web</jid>")
            if (who.opened.attribute("requests"), who.opened.attribute("hold")) != ("2", "1"):
                raise Failed(who.opened.text)
            has(await who.send(inside="<presence xmlns='jabber:client'/>"), "<presence")

    def message(text):
        return (f"<message to='bob@{server.domain}/web' type='chat' id='{text}' xmlns='jabber:client'>"
                f"<body>{text}</body></message>")

    with step("a message comes as the answer to a request that waits"):
        waiting = bob.begin()
        held = alice.begin(inside=message("hello"))
        has(await waiting, "<body>hello</body>")

    with step("an answer that got lost comes again, and what was in the request is not done twice"):
        lost = bob.rid
        has(await bob.again(lost), "<body>hello</body>")
        waiting = bob.begin()
        more = alice.begin(inside=message("once"))
        await held
        has(await alice.again(alice.rid - 1, inside=message("hello")))
        answer = has(await waiting, "once")
        if answer.text.count("<message") != 1:
            raise Failed(answer.text)

    with step("a pause is answered at once, and what was said meanwhile comes afterwards"):
        answer = await bob.send("pause='60'")
        if "<message" in answer.text or "terminate" in answer.text:
            raise Failed(answer.text)
        last = alice.begin(inside=message("meanwhile"))
        await more
        has(await bob.send(), "<body>meanwhile</body>")

    with step("a wrong request ends the line, and the session waits for its client (XEP-0198)"):
        answer = has(await bob.send(inside="<enable xmlns='urn:xmpp:sm:3' resume='true'/>"), "<enabled")
        token = re.search(r"<enabled[^>]* id='([^']+)'", answer.text)[1]
        has(await bob.again(bob.rid + 40), "type='terminate'", "item-not-found")
        has(await bob.send(), "item-not-found")
        late = alice.begin(inside=message("late"))
        await last
        has(await bob.connect(), "urn:xmpp:sm:3")
        resume = f"<resume xmlns='urn:xmpp:sm:3' h='0' previd='{token}'/>"
        answer = has(await bob.send(inside=resume), "<resumed")
        while "<body>late</body>" not in answer.text:
            answer = await bob.send(inside="<r xmlns='urn:xmpp:sm:3'/>")

    with step("goodbye"):
        has(await bob.send("type='terminate'"), "type='terminate'")
        has(await bob.send(), "item-not-found")

    with step("who waits when the server stops is told"):
        stopping = asyncio.ensure_future(server.stop())
        answer = await late
        if "terminate" not in answer.text:
            answer = await alice.send()
        await stopping
        has(answer, "system-shutdown")
