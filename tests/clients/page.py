"""A window of Chromium, as one person has it. It remembers what its page asked of the network, and complained of."""

import asyncio
import base64
import json

from waiting import LOOK_EVERY, SECONDS, Failed


class Page:
    """`session` is what the browser calls it."""

    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        # By their ids: what it asked for, with method, url, kind, and status and protocol of the answer.
        self.requests = {}
        # Addresses of WebSockets, and what went over them.
        self.sockets, self.frames = [], []
        # What it wrote where developers look.
        self.complaints = []

    async def do(self, method, **parameters):
        return await self.browser.do(method, self.session, **parameters)

    async def evaluate(self, expression):
        """The value of a JavaScript expression; of a promise, what comes of it."""
        answer = await self.do("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True,
                               userGesture=True)
        if error := answer.get("exceptionDetails"):
            raise Failed(f"{expression}: {described(error)}")
        return answer["result"].get("value")

    async def until(self, what, expression, seconds=SECONDS):
        """Waits until the expression is true in the page; returns its value."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        while not (value := await self.evaluate(expression)):
            if clock() > deadline:
                raise Failed(f"{what} (waited {seconds:.0f} s)")
            await asyncio.sleep(LOOK_EVERY)
        return value

    async def there(self, selector):
        await self.until(f"there is no {selector}", f"document.querySelector({json.dumps(selector)}) !== null")

    async def click(self, selector):
        await self.there(selector)
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).click()")

    async def type(self, selector, text):
        """As by keyboard and clipboard: into the field, and it is the page that hears of it."""
        await self.there(selector)
        await self.evaluate(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.do("Input.insertText", text=text)

    async def enter(self):
        for kind in ("keyDown", "keyUp"):
            await self.do("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                          windowsVirtualKeyCode=13)

    async def choose(self, selector, path):
        """Chooses a file where the page asks for one."""
        await self.there(selector)
        found = await self.do("Runtime.evaluate", expression=f"document.querySelector({json.dumps(selector)})")
        await self.do("DOM.setFileInputFiles", files=[str(path)], objectId=found["result"]["objectId"])

    def asked(self, method, part):
        """Requests with that method whose address has that part."""
        return [one for one in self.requests.values() if one["method"] == method and part in one["url"]]

    async def report(self):
        """What a person would tell of it who knows where to look."""
        text, here = await self.evaluate("[document.body.innerText, location.origin]")
        asked = [one for one in self.requests.values() if not one["url"].startswith((here, "data:"))]
        lines = [" ".join(map(str, one.values())) for one in asked[-20:]]
        return "\n".join(["it shows:", text, "it asked for:", *lines, "it complained:", *self.complaints[-15:],
                          "over its WebSocket went:", *self.frames[-30:]])

    async def picture(self, path):
        """A screenshot, as PNG."""
        path.write_bytes(base64.b64decode((await self.do("Page.captureScreenshot"))["data"]))

    def happened(self, method, event):
        if method == "Network.requestWillBeSent":
            request = event["request"]
            self.requests[event["requestId"]] = {"method": request["method"], "url": request["url"],
                                                 "kind": event.get("type")}
        elif method == "Network.responseReceived":
            request = self.requests.setdefault(event["requestId"], {"method": "?", "url": event["response"]["url"]})
            request |= {"status": event["response"]["status"], "protocol": event["response"].get("protocol")}
        elif method == "Network.loadingFailed" and (request := self.requests.get(event["requestId"])):
            request["status"] = f"{event['errorText']} {event.get('corsErrorStatus', '')}"
        elif method == "Network.webSocketCreated":
            self.sockets.append(event["url"])
        elif method in ("Network.webSocketFrameSent", "Network.webSocketFrameReceived"):
            self.frames.append(f"{method[22:]}: {event['response']['payloadData']}")
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(described(event["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and event["type"] in ("error", "warning"):
            self.complaints.append(" ".join(str(one.get("value", one.get("description"))) for one in event["args"]))


def described(error):
    return error.get("exception", {}).get("description") or error["text"]
