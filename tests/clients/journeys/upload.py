"""Alice shares a film with Bob (XEP-0363): slixmpp finds where to put it and puts it there, Bob fetches it, whole
and in part. What is not as it was promised is refused, what is cut off leaves nothing, and what was stored is
there after a SIGKILL and gone with her account."""

import asyncio
import hashlib
import http.client
import os
import socket
import ssl
from io import BytesIO
from urllib.parse import urlsplit

from aiohttp import connector
from slixmpp.exceptions import IqError

from slixmpp_client import Slixmpp
from talk import ALICE, BOB, start
from waiting import Failed, step, until

SERVERS = ("hearth",)

FILM = os.urandom(10_000_000)
SERVICE = "upload.localhost"


async def go(server, _):
    server.used += ("https",)
    server.further = "[upload]\nmax_file_size = '12MB'\nuser_quota = '25MB'\n"
    await start(server, ALICE, BOB)
    # The one context of everybody who names none, as the plugin does; made when the library is first loaded.
    connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cafile=str(server.ca))
    alice = Slixmpp(server, f"{ALICE}/desk", ALICE)
    alice.register_plugin("xep_0363")
    await alice.come_online()
    bob = await Slixmpp(server, f"{BOB}/desk", BOB).come_online()
    web = Web(server)
    try:
        url = await share(alice, bob, web)
        await refuse(alice, web, url)
        await cut_off(server, alice, web)
    finally:
        for client in (alice, bob):
            await client.leave()
    await remove(server, web, url)


class Web:
    """The server's HTTPS. Every request has a connection of its own."""

    def __init__(self, server):
        self.server = server
        self.trusted = ssl.create_default_context(cafile=server.ca)

    async def ask(self, method, url, body=None, **headers):
        """Status, headers and body."""
        def exchange():
            split = urlsplit(url)
            connection = http.client.HTTPSConnection(split.hostname, split.port, timeout=30, context=self.trusted)
            try:
                connection.request(method, f"{split.path}?{split.query}".rstrip("?"), body,
                                   {name.replace("_", "-"): value for name, value in headers.items()})
                response = connection.getresponse()
                return response.status, response.headers, response.read()
            finally:
                connection.close()
        return await asyncio.to_thread(exchange)

    async def begin(self, url, size, media_type, body):
        """Sends the beginning of a file, and nothing more; returns the connection."""
        split = urlsplit(url)
        def send():
            line = self.trusted.wrap_socket(socket.create_connection(("127.0.0.1", split.port), 30),
                                            server_hostname=split.hostname)
            line.sendall(f"PUT {split.path}?{split.query} HTTP/1.1\r\nHost: {split.netloc}\r\n"
                         f"Content-Type: {media_type}\r\nContent-Length: {size}\r\n\r\n".encode() + body)
            return line
        return await asyncio.to_thread(send)

    def files(self):
        """Everything that lies among the server's uploads."""
        return sorted(path.name for path in (self.server.directory / "data" / "uploads").rglob("*") if path.is_file())


def same(found, expected):
    if found != expected:
        raise Failed(f"{str(found)[:200]} instead of {str(expected)[:200]}")


async def slot(alice, name, size, media_type="video/mp4"):
    answer = await alice["xep_0363"].request_slot(SERVICE, name, size, media_type)
    return answer["http_upload_slot"]["put"]["url"], answer["http_upload_slot"]["get"]["url"]


async def share(alice, bob, web):
    with step("slixmpp finds the service, and uploads 10 MB"):
        service = await alice["xep_0363"].find_upload_service()
        same(str(service["from"]), SERVICE)
        url = await alice["xep_0363"].upload_file("our film.mp4", input_file=BytesIO(FILM), timeout=30)
        same(len(web.files()), 1)
        alice.say(BOB, url)
        await bob.hears(ALICE, url)

    with step("who has the address has the film, under its name"):
        status, headers, body = await web.ask("GET", url)
        same((status, headers["Content-Type"], headers["Content-Disposition"]),
             (200, "video/mp4", 'inline; filename="our film.mp4"'))
        same(hashlib.sha256(body).digest(), hashlib.sha256(FILM).digest())

    with step("or a part of it, or nothing again of what they have already"):
        status, headers, body = await web.ask("GET", url, Range="bytes=9000000-9000999")
        same((status, headers["Content-Range"]), (206, "bytes 9000000-9000999/10000000"))
        same(body, FILM[9_000_000:9_001_000])
        status, _, body = await web.ask("GET", url, If_None_Match=headers["ETag"])
        same((status, body), (304, b""))
        same((await web.ask("GET", url, Range="bytes=10000000-"))[0], 416)
        status, headers, body = await web.ask("HEAD", url)
        same((status, headers["Content-Length"], body), (200, "10000000", b""))
    return url


async def refuse(alice, web, url):
    with step("nobody puts anything without a slot of their own, or anything else than was promised"):
        put, get = await slot(alice, "small.mp4", 4)
        other, _ = await slot(alice, "other.mp4", 4)
        video = {"Content_Type": "video/mp4"}
        for case, expected, body, headers in (
                (url, 403, b"abcd", video),
                (get, 403, b"abcd", video),
                (get + "?" + urlsplit(other).query, 403, b"abcd", video),
                (put[:-1] + ("A" if put[-1] != "A" else "B") * 2, 403, b"abcd", video),
                (put, 413, b"abcdef", video),
                (put, 400, b"ab", video),
                (put, 415, b"abcd", {"Content_Type": "text/html"}),
                (put, 201, b"abcd", video),
                (put, 409, b"abcd", video)):
            same((await web.ask("PUT", case, body, **headers))[0], expected)

    with step("what is too large is refused by the server, and before that by the client"):
        try:
            await slot(alice, "large.mp4", 12_000_001)
        except IqError as refusal:
            same(refusal.condition, "not-acceptable")
        else:
            raise Failed("a slot for a file that is too large")
        try:
            await alice["xep_0363"].upload_file("large.mp4", input_file=BytesIO(bytes(12_000_001)))
        except Exception as refusal:
            same(type(refusal).__name__, "FileTooBig")
        else:
            raise Failed("a file that is too large")

    with step("and when the quota is used up"):
        await slot(alice, "fits.mp4", 12_000_000)
        try:
            await slot(alice, "more.mp4", 4_000_000)
        except IqError as refusal:
            same(refusal.condition, "resource-constraint")
        else:
            raise Failed("a slot beyond the quota")


async def cut_off(server, alice, web):
    before = web.files()
    with step("who stops half way leaves nothing"):
        put, get = await slot(alice, "half.mp4", 2_000_000)
        line = await web.begin(put, 2_000_000, "video/mp4", FILM[:1_000_000])
        await until("nothing arrives", lambda: len(web.files()) > len(before))
        line.close()
        await until(lambda: f"{web.files()} is left", lambda: web.files() == before)
        same((await web.ask("GET", get))[0], 404)

    with step("nor does a SIGKILL in the middle, after which the same slot can be used"):
        line = await web.begin(put, 2_000_000, "video/mp4", FILM[:1_000_000])
        await until("nothing arrives", lambda: len(web.files()) > len(before))
        await server.kill()
        line.close()
        await server.serve()
        await until(lambda: f"{web.files()} is left", lambda: web.files() == before)
        same((await web.ask("PUT", put.replace(str(urlsplit(put).port), str(server.https)), FILM[:2_000_000],
                            Content_Type="video/mp4"))[0], 201)


async def remove(server, web, url):
    url = url.replace(str(urlsplit(url).port), str(server.https))
    with step("what was stored is there after it, and counts"):
        same((await web.ask("GET", url))[2], FILM)
        shown = await server.command("user", "show", ALICE, "--json")
        same(int(shown.split('"bytes":')[1].split(",")[0].strip(" }\n")) > 12_000_000, True)

    with step("and goes with the account"):
        await server.command("user", "remove", ALICE, "--yes")
        same((await web.ask("GET", url))[0], 404)
        await server.stop()
        await server.serve()
        await until(lambda: f"{web.files()} is left", lambda: not web.files())
