"""Alice and Bob are at Converse.js, Carol is at slixmpp. What they do together, whichever way the pages get to the
server: they chat, meet in a room, send each other a picture, and go on when the server has started again."""

import hashlib
import json
import struct
import zlib
from contextlib import asynccontextmanager

from chromium import Chromium
from converse import Converse, Pages
from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until

CAROL = "carol@localhost"
ROOM = "kitchen@groupchat.localhost"
# How wide the picture is, in pixels: who sees that, has read it.
WIDTH = 64


def png(width):
    """A picture in grey (PNG, ISO 15948), as small as can be."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes((x * y) % 256 for x in range(width)) for y in range(width))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


@asynccontextmanager
async def household(server, directory, settings):
    """`settings(server)` are Converse's, that say which way it gets to the server, which runs by then."""
    server.used += ("https",)
    with step("the server starts, with accounts for three"):
        await start(server, ALICE, BOB, CAROL)
    home = Household(server, directory, settings(server))
    try:
        with step("Chromium starts, and Carol comes online at slixmpp"):
            await home.browser.start()
            await home.pages.start()
            await home.carol.come_online()
        yield home
    except Failed as failure:
        raise Failed(await home.look(failure)) from failure
    finally:
        await home.leave()


class Household:
    def __init__(self, server, directory, settings):
        self.server, self.directory = server, directory
        self.pages = Pages()
        self.browser = Chromium(directory / "chromium", server.ca, server.https)
        self.alice, self.bob = (Converse(self.browser, self.pages, jid, settings) for jid in (ALICE, BOB))
        self.carol = self._carol()

    def _carol(self):
        carol = Slixmpp(self.server, f"{CAROL}/desk", CAROL)
        carol.register_plugin("xep_0045")
        carol.roster.auto_authorize = carol.roster.auto_subscribe = True
        return carol

    async def leave(self):
        await self.carol.leave()
        await self.browser.leave()
        await self.pages.leave()

    async def look(self, failure):
        """What failed, and what there is to be seen of it."""
        seen = [str(failure)]
        for person in (self.alice, self.bob):
            if person.page is None:
                continue
            try:
                await person.page.picture(self.directory / f"{person.jid}.png")
                seen.append(f"{person.jid}'s page: {await person.page.report()}")
            except (Failed, OSError) as error:
                seen.append(f"{person.jid}'s page cannot be seen: {error}")
        return "\n".join(seen)

    async def befriend(self):
        with step("Alice asks Bob and Carol to be her contacts, and they see each other online"):
            await self.alice.ask(BOB)
            await self.alice.ask(CAROL)
            for person, contact in ((self.alice, BOB), (self.bob, ALICE), (self.alice, CAROL)):
                await person.sees(contact)
            await self.carol.sees(ALICE, "available")

    async def chat(self):
        with step("Alice and Bob chat, page to page"):
            await self.alice.open(BOB)
            await self.bob.open(ALICE)
            await self.alice.say(BOB, "Is there \u00fcber <b>soup</b> & \U0001f35e?")
            await self.bob.reads(ALICE, "Is there \u00fcber <b>soup</b> & \U0001f35e?")
            await self.bob.say(ALICE, "There is.")
            await self.alice.reads(BOB, "There is.")

        with step("and Carol with Alice, who came another way"):
            await self.alice.open(CAROL)
            self.carol.say(ALICE, "And for me?")
            await self.alice.reads(CAROL, "And for me?")
            await self.alice.say(CAROL, "For you, too.")
            await self.carol.hears(ALICE, "For you, too.")

    async def meet(self):
        with step("they meet in a room, and everybody hears everybody"):
            await self.alice.enter(ROOM)
            await self.bob.enter(ROOM)
            await self.carol["xep_0045"].join_muc_wait(ROOM, "Carol", timeout=20)
            await self.alice.say(ROOM, "Alice is here")
            await self.bob.say(ROOM, "Bob is here")
            self.carol.send_message(mto=ROOM, mbody="Carol is here", mtype="groupchat")
            for said in ("Alice is here", "Bob is here", "Carol is here"):
                await self.alice.reads(ROOM, said)
                await self.bob.reads(ROOM, said)
                await self._carol_hears(said)

    async def _carol_hears(self, said):
        await until(lambda: f"Carol heard {self.carol.bodies()}", lambda: said in self.carol.bodies())

    async def show(self):
        picture = self.directory / "our cat \u00e4.png"
        picture.write_bytes(png(WIDTH))
        size, digest = picture.stat().st_size, hashlib.sha256(picture.read_bytes()).hexdigest()
        here = f"https://{self.server.domain}:{self.server.https}/"
        with step("Bob sends a picture into the room, and everybody sees it (XEP-0363)"):
            await self.bob.send_file(ROOM, picture)
            for person in (self.alice, self.bob):
                address, width = await person.picture(ROOM, here)
                if width != WIDTH:
                    raise Failed(f"{person.jid} sees {width} pixels at {address}")
            await self._carol_hears(address)

        with step("Alice sends it to him alone, and he sees it"):
            await self.alice.open(BOB)
            await self.alice.send_file(BOB, picture)
            await self.bob.open(ALICE)
            address, _ = await self.bob.picture(ALICE, here)

        with step("his page may read it, too, whole and in part, and ask how large it is"):
            found = await self.bob.page.evaluate(FETCH % {"address": json.dumps(address)})
            if found != [200, digest, 206, 10, f"bytes 5-14/{size}", 200, str(size)]:
                raise Failed(f"{found} instead of {digest}")

    async def reload(self):
        with step("Alice reloads her page, is logged in, and finds what was said"):
            await self.alice.reload()
            await self.alice.open(CAROL)
            await self.alice.reads(CAROL, "And for me?")
            self.carol.say(ALICE, "Was there a draught?")
            await self.alice.reads(CAROL, "Was there a draught?")
            await self.alice.say(CAROL, "A short one.")
            await self.carol.hears(ALICE, "A short one.")

    async def start_again(self, end, word):
        """`end` is how the server ends. Nobody does anything about it at the pages; meanwhile Carol writes to both."""
        with step(f"the server is {word} and starts again, and both pages come back by themselves"):
            await self.alice.enter(ROOM)
            await self.bob.enter(ROOM)
            await end()
            await self.carol.gone()
            await self.server.start()
            self.carol = self._carol()
            await self.carol.come_online()
            await self.carol["xep_0045"].join_muc_wait(ROOM, "Carol", timeout=20)
            self.carol.say(ALICE, f"You were {word}?")
            self.carol.send_message(mto=ROOM, mbody=f"It was {word}", mtype="groupchat")
            for person in (self.alice, self.bob):
                await person.come_back()

        with step("what was said meanwhile is there, once, and they go on"):
            for person in (self.alice, self.bob):
                await person.reads(ROOM, f"It was {word}")
            await self.alice.say(ROOM, f"What was {word}?")
            await self.bob.reads(ROOM, f"What was {word}?")
            await self._carol_hears(f"What was {word}?")
            await self.alice.open(CAROL)
            await self.alice.reads(CAROL, f"You were {word}?")
            await self.alice.say(CAROL, f"Not {word}.")
            await self.carol.hears(ALICE, f"Not {word}.")
            for person, there, said in ((self.alice, CAROL, [f"You were {word}?", f"Not {word}."]),
                                        (self.bob, ROOM, [f"It was {word}", f"What was {word}?"])):
                found = [text for text in await person.bodies(there) if word in text]
                if found != said:
                    raise Failed(f"{person.jid} reads {found}")


# Status and digest of the whole, status, length and Content-Range of a part, status and Content-Length of a HEAD.
FETCH = """(async () => {
    const whole = await fetch(%(address)s);
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await whole.arrayBuffer()));
    const part = await fetch(%(address)s, { headers: { Range: "bytes=5-14" } });
    const head = await fetch(%(address)s, { method: "HEAD" });
    return [whole.status, [...digest].map(byte => byte.toString(16).padStart(2, "0")).join(""),
            part.status, (await part.arrayBuffer()).byteLength, part.headers.get("Content-Range"),
            head.status, head.headers.get("Content-Length")];
})()"""
