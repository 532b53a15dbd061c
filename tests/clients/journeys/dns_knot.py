"""A house that keeps its own records at a name server by signed updates (RFC 2136, RFC 8945): Knot DNS."""

import asyncio
import base64
import json
import signal
import subprocess

from knot import Knot
from waiting import Failed, step, until

SERVERS = ("hearth",)

async def go(server, directory):
    knot = Knot(directory)
    try:
        await keep_records(server, knot)
    finally:
        await server.stop()
        knot.stop()


def configure(server, knot, ipv4, key="house"):
    server.further = f"""
[public]
ipv4 = "{ipv4}"
ipv6 = "2001:db8::7"
[dns]
provider = "rfc2136"
server = "127.0.0.1:{knot.port}"
tsig_name = "{key}"
token_file = "{token(server)}"
[resolver]
nameservers = ["127.0.0.1:{knot.port}"]
"""
    server.write_configuration()


def token(server):
    return server.directory / "token"


async def plan(server):
    return json.loads(await server.command("dns", "plan", "--json"))


async def refusal(server):
    """What `dns apply` says when it is refused."""
    process = await asyncio.create_subprocess_exec(
        *server.program, *server.options, "dns", "apply", cwd=server.working_directory,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    if process.returncode != 1:
        raise Failed(f"exit {process.returncode}: {said.decode()}")
    return said.decode()


async def keep_records(server, knot):
    server.domain = "home.example"
    token(server).write_text(knot.secret + "\n")
    configure(server, knot, "192.0.2.7")

    with step("a provider that does not answer is said, and the server starts all the same"):
        if "does not answer" not in await refusal(server):
            raise Failed("nothing was said")
        await server.start()

    with step("once it answers, an empty zone is filled without a word"):
        knot.start()
        await until("the zone is served", lambda: knot.says("home.example", "SOA"))
        await until("the address is there", lambda: knot.says("home.example", "A") == ["192.0.2.7"], 60)
        await until("the last record is there",
                    lambda: knot.says("_xmpp-server._tcp.groupchat.home.example", "SRV"), 60)

    with step("what is there is what should be, and others' records are as they were"):
        lines = await plan(server)
        wrong = [line for line in lines if line["action"] != "keep"]
        if wrong or len(lines) < 11:
            raise Failed(f"{lines}")
        for name, kind, data in [
                ("home.example", "AAAA", "2001:db8::7"), ("groupchat.home.example", "CNAME", "home.example."),
                ("home.example", "MX", "10 mail.elsewhere.example."), ("www.home.example", "A", "192.0.2.200")]:
            if knot.says(name, kind) != [data]:
                raise Failed(f"{name} {kind}: {knot.says(name, kind)}")

    with step("a new address is there at once, and the name says something at every moment"):
        configure(server, knot, "192.0.2.8")
        server.process.send_signal(signal.SIGHUP)
        seen = []

        def is_new():
            now = knot.says("home.example", "A")
            if len(now) != 1:
                raise Failed(f"the name said {now}")
            seen.append(now)
            return now == ["192.0.2.8"]
        await until("the new address is there", is_new, 60)

    with step("records that are not wanted any more go, and nobody else's, also without a look at the whole zone"):
        configure(server, knot, "192.0.2.8", "writer")
        server.further += "[names]\nupload = \"files\"\n"
        server.write_configuration()
        server.process.send_signal(signal.SIGHUP)
        await until("the old name is gone", lambda: knot.says("upload.home.example", "CNAME") == [], 60)
        if knot.says("files.home.example", "CNAME") != ["home.example."]:
            raise Failed("the new name is not there")

    with step("without the server the command sees the same"):
        await server.stop()
        if any(line["action"] != "keep" for line in await plan(server)):
            raise Failed(f"{await plan(server)}")

    with step("a wrong secret, an unknown key and one that may not change records are told"):
        token(server).write_text(base64.b64encode(bytes(32)).decode())
        configure(server, knot, "192.0.2.9")
        for key, secret, sentence in [
                ("house", base64.b64encode(bytes(32)).decode(), "another secret"),
                ("stranger", knot.secret, "does not know the key"),
                ("guest", knot.secret, "allow the key to update the zone"),
                ("house", "no-base64!", "no key in Base64")]:
            token(server).write_text(secret)
            configure(server, knot, "192.0.2.9", key)
            said = await refusal(server)
            if sentence not in said or secret in said:
                raise Failed(f"{key}: {said}")
        if knot.says("home.example", "A") != ["192.0.2.8"]:
            raise Failed("a refused change was made")
