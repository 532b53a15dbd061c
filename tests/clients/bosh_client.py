"""A client of BOSH (XEP-0124, XEP-0206) for journeys: one HTTPS connection for each request, and nothing done
behind the journey's back."""

import asyncio
import base64
import json
import re
import ssl

NS = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'"
PATH = "/http-bind"


class Answer:
    """Status, headers by their lower-case names, and text."""

    def __init__(self, raw):
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        parts = (line.partition(":") for line in lines)
        self.headers = {name.lower(): value.strip() for name, _, value in parts}
        self.text = body.decode()

    def attribute(self, name):
        found = re.search(rf"^<body[^>]* {name}='([^']*)'", self.text)
        return found and found[1]


async def http(server, method, path=PATH, body="", headers=(), tls=True):
    """One request on a connection of its own."""
    context = ssl.create_default_context(cafile=server.ca) if tls else None
    port = server.https if tls else server.http
    reader, writer = await asyncio.open_connection(
        server.host, port, ssl=context, server_hostname=server.domain if tls else None)
    try:
        data = body.encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {server.domain}", "Connection: close",
                 f"Content-Length: {len(data)}", *headers]
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()
        return Answer(await reader.read())
    finally:
        writer.close()


async def links(server):
    """What host-meta.json names, address by kind."""
    found = await http(server, "GET", "/.well-known/host-meta.json")
    return {link["rel"]: link["href"] for link in json.loads(found.text)["links"]}


class Bosh:
    """A session. `rid` is the last request's."""

    def __init__(self, server, localpart, password, rid=1_573_741_820):
        self.server, self.localpart, self.password = server, localpart, password
        self.sid, self.rid = None, rid
        self.opened = None

    async def again(self, rid, attributes="", inside=""):
        """A request with that id."""
        sid = f"sid='{self.sid}'" if self.sid else ""
        body = f"<body rid='{rid}' {sid} {attributes} {NS}>{inside}</body>"
        return await http(self.server, "POST", body=body, headers=["Content-Type: text/xml; charset=utf-8"])

    async def send(self, attributes="", inside=""):
        """The next request, and its answer."""
        self.rid += 1
        return await self.again(self.rid, attributes, inside)

    def begin(self, attributes="", inside=""):
        """The next request, whose answer may take a while: a task."""
        self.rid += 1
        return asyncio.ensure_future(self.again(self.rid, attributes, inside))

    async def connect(self, wait=50):
        """Up to the features behind a login."""
        self.sid = None
        self.opened = await self.send(f"to='{self.server.domain}' ver='1.6' wait='{wait}' hold='1' "
                                      "xmpp:version='1.0' xml:lang='en'")
        self.sid = self.opened.attribute("sid")
        words = base64.b64encode(f"\0{self.localpart}\0{self.password}".encode()).decode()
        await self.send(inside="<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>"
                               f"{words}</auth>")
        return await self.send(f"to='{self.server.domain}' xmpp:restart='true'")

    async def log_in(self, resource="web"):
        await self.connect()
        return await self.send(inside="<iq type='set' id='b1' xmlns='jabber:client'><bind "
                               "xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                               f"<resource>{resource}</resource></bind></iq>")
