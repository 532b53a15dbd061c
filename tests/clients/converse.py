"""A person at Converse.js, the client that is a page, in Chromium. The page comes from a server of its own: what it
may then ask of the chat server is where browsers are strict (CORS)."""

import json
from pathlib import Path

from aiohttp import web

DIST = Path(__file__).resolve().parents[2] / "target/clients/converse.js/node_modules/converse.js/dist"
PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Converse</title>
<link rel="stylesheet" href="/dist/converse.min.css"><link rel="icon" href="data:,">
<body class="converse-fullscreen"><script type="module">
import "/dist/converse.min.js";
window.returns = 0;
converse.plugins.add("look", { initialize() {
    window.api = this._converse.api;
    api.listen.on("reconnected", () => returns++);
} });
converse.initialize(SETTINGS);
</script>
</html>
"""
# What whoever puts it on their web server decides for everybody.
SETTINGS = {"authentication": "login", "view_mode": "fullscreen", "i18n": "en", "assets_path": "/dist/",
            "allow_registration": False, "muc_nickname_from_jid": True, "render_media": True, "theme": "classic",
            # Its form for accepting does not ask back (14.0.0); this does.
            "auto_subscribe": True,
            "play_sounds": False, "disable_effects": True, "show_desktop_notifications": False, "loglevel": "warn",
            "whitelisted_plugins": ["look"]}


class Pages:
    """Serves the client, on a port of 127.0.0.1: a page for each person, with their settings."""

    def __init__(self):
        self.settings = {}
        self.runner = None
        self.origin = None

    async def start(self):
        application = web.Application()
        # Its cryptography looks for that beside the page, not beside itself.
        application.router.add_get("/of/{name}.wasm", lambda request: web.FileResponse(
            DIST / f"{request.match_info['name']}.wasm"))
        application.router.add_get("/of/{person}", self._page)
        application.router.add_static("/dist", DIST)
        self.runner = web.AppRunner(application)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.origin = "http://127.0.0.1:{}".format(self.runner.addresses[0][1])
        return self

    async def leave(self):
        if self.runner is not None:
            await self.runner.cleanup()

    async def _page(self, request):
        settings = json.dumps(self.settings[request.match_info["person"]])
        return web.Response(text=PAGE.replace("SETTINGS", settings), content_type="text/html")


class Converse:
    """`how` are Converse's own settings that say how it gets to the server. The password is the address."""

    def __init__(self, browser, pages, jid, how):
        self.browser, self.pages = browser, pages
        self.jid = jid
        self.settings = SETTINGS | how
        self.page = None
        # How often it came back.
        self.returns = 0

    async def log_in(self):
        """By the form, as a person does. Returns self."""
        self.pages.settings[self.jid] = self.settings
        self.page = await self.browser.open(f"{self.pages.origin}/of/{self.jid}")
        await self.page.type("input[name=jid]", self.jid)
        await self.page.type("input[name=password]", self.jid)
        await self.page.enter()
        await self.online()
        return self

    async def come_back(self):
        """Waits until it has found the server again, which it does by itself, another time."""
        self.returns = await self.page.until(f"{self.jid} does not come back",
                                             f"returns > {self.returns} && returns")
        await self.online()

    async def reload(self):
        """The page anew, in the same window, which logs in by itself."""
        await self.page.evaluate("document.isOld = true")
        await self.page.do("Page.reload")
        await self.page.until(f"{self.jid}'s page stays as it is", "!document.isOld")
        self.returns = 0
        await self.online()

    async def online(self):
        await self.page.until(f"{self.jid} is not online",
                              "window.api?.connection.connected() && api.connection.authenticated()"
                              " && document.querySelector('converse-user-profile') !== null")

    async def ask(self, jid):
        """Wants that person as a contact."""
        await self.page.evaluate(
            f"api.contacts.add({{ jid: {json.dumps(jid)}, name: '', groups: [] }}).then(() => 0)")

    async def sees(self, jid):
        """Waits until that contact is shown to be online."""
        await self.page.there(f"{contact(jid)} .contact-name--online")

    async def open(self, jid):
        """A conversation with a contact, before anything is said in it: a message that makes it and a click that
        makes it get into each other's way (14.0.0)."""
        await self.page.click(contact(jid))
        await self._shown(jid)

    async def enter(self, room):
        """A room; it is made if there is none."""
        await self.page.evaluate(f"api.rooms.open({json.dumps(room)}, {{}}, true).then(() => 0)")
        await self._shown(room)

    async def say(self, jid, text):
        """Types it where the conversation is open."""
        await self.page.type(f"{window(jid)} textarea.chat-textarea", text)
        await self.page.enter()

    async def send_file(self, jid, path):
        await self.page.choose(f"{window(jid)} input.fileupload", path)

    async def reads(self, jid, text):
        """Waits until it is there to be read, in that conversation."""
        await self.page.until(f"{self.jid} does not read {text!r}",
                              f"{bodies(jid)}.includes({json.dumps(text)})")

    async def bodies(self, jid):
        """What is to be read there, from top to bottom."""
        return await self.page.evaluate(bodies(jid))

    async def picture(self, jid, part):
        """Waits for a picture to be seen there, from an address with that part; returns the address, and how many
        pixels wide it is."""
        return await self.page.until(
            f"{self.jid} sees no picture",
            f"[...document.querySelectorAll({json.dumps(window(jid) + ' .chat-msg img')})]"
            f".filter(one => one.src.includes({json.dumps(part)}) && one.complete && one.naturalWidth)"
            ".map(one => [one.src, one.naturalWidth])[0]")

    async def _shown(self, jid):
        await self.page.there(f"{window(jid)} textarea.chat-textarea")


def contact(jid):
    """The selector of a line of the roster."""
    return f"converse-roster-contact a.open-chat[data-jid='{jid}']"


def window(jid):
    """The selector of a conversation."""
    return f".chatbox[jid='{jid}']"


def bodies(jid):
    return (f"[...document.querySelectorAll({json.dumps(window(jid) + ' .chat-msg__text')})]"
            ".map(one => one.textContent.trim())")
