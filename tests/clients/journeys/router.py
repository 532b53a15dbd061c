"""The router at home opens ports by itself: Debian's miniupnpd in a network of the journey's own, by PCP,
NAT-PMP and UPnP. The world comes in at what was opened and nowhere else, over IPv4 and IPv6; what a router forgets is
opened again, what it refuses is explained, and who stops leaves nothing open."""

import json
import re
import subprocess

from home_network import HOUSE, HOUSE_V6, NO_PCP, OUTSIDE, ROUTER, HomeNetwork
from waiting import Failed, step, until

SERVERS = ("hearth",)
# Looks at the router are a minute apart.
SECONDS_MAX = 600

CONFIGURATION = """
[router]
enabled = true
[address]
sources = ["interface", "router"]
"""
USED = ("c2s", "c2s_tls", "http", "https", "stun")


async def go(server, directory):
    server.domain = "home.example"
    server.used = USED
    server.elsewhere = dict.fromkeys(USED, "[::]")
    server.further = CONFIGURATION
    for rules, protocols, name in (("", {"natpmp": True, "upnp": True}, "PCP"),
                                   (NO_PCP, {"natpmp": True}, "NAT-PMP"), ("", {"upnp": True}, "UPnP")):
        home = HomeNetwork(directory, rules)
        program = server.program
        server.program = home.house.inside(*program)
        try:
            await home.start(**protocols)
            await lets_in(server, home, name)
            if name == "PCP":
                await is_renumbered(server, home)
            if name == "UPnP":
                await starts_again(server, home)
            await leaves(server, home, name)
            if name == "UPnP":
                await refuses(server, home)
                await is_mute(server, home)
        finally:
            await server.stop()
            await home.end()
            server.program = program


async def lets_in(server, home, name):
    with step(f"a router with {name} lets the world in"):
        await server.start()
        if home.world_reaches(server.c2s + 1):
            raise Failed("the world reaches what nobody opened")
        await until(lambda: f"not by {name}: {home.forwarded()}", lambda: opened(server, home))
        text = await health(server, "router", name)
        if "ok" not in text:
            raise Failed(text)
        if not home.world_reaches(server.https):
            raise Failed(f"the world does not get in: {home.forwarded()}")
    with step("its address outside is the one that the house is called by"):
        await health(server, "address", OUTSIDE)
    if name == "PCP":
        with step("and it opens a hole for IPv6"):
            await until("the world does not get in over IPv6",
                        lambda: home.world_reaches(server.https, HOUSE_V6))
    with step("`hearth check ports` tells that apps at home need the name"):
        out = await server.command("check", "ports", expect=0)
        for words in (f"{server.https}/tcp (https): answers here, and the router says that it lets the world in",
                      "no hairpin NAT", f"the address {HOUSE}", f"IPv4: {OUTSIDE}"):
            if words not in out:
                raise Failed(f"not {words!r} in:\n{out}")
        out = await server.command("check", "turn", expect=0)
        if f"calls are relayed at {OUTSIDE}" not in out:
            raise Failed(out)


async def is_renumbered(server, home):
    with step("another address of IPv6 counts within seconds, and the hole leads there"):
        home.house.run("ip", "address", "add", "2a02:77::8/64", "dev", "eth0")
        home.house.run("ip", "address", "del", f"{HOUSE_V6}/64", "dev", "eth0")
        await health(server, "address", "2a02:77::8", 10)
        await until("the world does not get in there", lambda: home.world_reaches(server.https, "2a02:77::8"))


async def starts_again(server, home):
    with step("a router that starts again, with another address outside, is asked again"):
        home.router.run("ip", "address", "flush", "dev", "wan0", "scope", "global")
        home.router.run("ip", "address", "add", "9.9.9.8/24", "dev", "wan0")
        await home.start(upnp=True)
        if opened(server, home):
            raise Failed("it has not forgotten")
        await until("it was not asked again", lambda: opened(server, home), 90)
    with step("and the house is called by that address"):
        await health(server, "address", "9.9.9.8", 90)


async def leaves(server, home, name):
    with step(f"who stops leaves nothing open ({name})"):
        await server.stop()
        if opened(server, home):
            raise Failed(home.forwarded())


async def refuses(server, home):
    with step("a port that another device has is told with its address"):
        await home.start(upnp=True, secure=False)
        ask(home, server.https, "192.168.77.9")
        await server.start()
        await health(server, "router", "192.168.77.9 has the port already")
        if f"{HOUSE}:{server.https}" in home.forwarded():
            raise Failed("it was taken away")
        await server.stop()
        if "192.168.77.9" not in home.forwarded():
            raise Failed("the port of the other device was closed")


async def is_mute(server, home):
    with step("a router that cannot be asked is told with the rule to write by hand"):
        await home.stop()
        await server.start()
        await health(server, "router", "does not open ports by itself")
        out = await server.command("check", "ports", expect=0)
        if f"{server.https}/tcp to {HOUSE} port {server.https}" not in out:
            raise Failed(out)


def opened(server, home):
    """Whether the router forwards every port of ours."""
    rules = home.forwarded()
    return all(re.search(rf"dport {port}\b.*{re.escape(HOUSE)}", rules) for port in (server.https, server.c2s))


async def health(server, part, words, seconds=60):
    """The line of `hearth status` about this part, once it has these words."""
    said = []

    def look():
        done = subprocess.run([*server.program, *server.options, "--json", "status"], capture_output=True, text=True,
                              check=False, cwd=server.working_directory)
        parts = json.loads(done.stdout)["health"] if done.stdout else []
        said[:] = [f"{it['level']}: {it['text']}" for it in parts if it["part"] == part]
        return any(words in text for text in said) and said[0]

    return await until(lambda: f"{part} says {said} instead of {words!r}", look, seconds)


def ask(home, port, client):
    """Somebody else opens a port for a device of theirs."""
    body = ("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body><u:AddPortMapping "
            "xmlns:u='urn:schemas-upnp-org:service:WANIPConnection:1'><NewRemoteHost></NewRemoteHost>"
            f"<NewExternalPort>{port}</NewExternalPort><NewProtocol>TCP</NewProtocol><NewInternalPort>{port}"
            f"</NewInternalPort><NewInternalClient>{client}</NewInternalClient><NewEnabled>1</NewEnabled>"
            "<NewPortMappingDescription>game</NewPortMappingDescription><NewLeaseDuration>0</NewLeaseDuration>"
            "</u:AddPortMapping></s:Body></s:Envelope>")
    code = ("import urllib.request as r, sys; r.urlopen(r.Request(sys.argv[1], sys.argv[2].encode(), "
            "{'SOAPAction': '\"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\"'}), timeout=10)")
    home.house.run("python3", "-c", code, f"http://{ROUTER}:5000/ctl/IPConn", body)
