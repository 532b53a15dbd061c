"""A home network of the journey's own: this machine, a router that Debian's miniupnpd works in, and the world
on its other side, each in a network namespace. They end with the processes that hold them. Takes root, as
namespaces do."""

import asyncio
import subprocess
import time

from waiting import Failed, until

HOUSE, ROUTER, OUTSIDE, WORLD = "192.168.77.7", "192.168.77.1", "9.9.9.9", "9.9.9.1"
HOUSE_V6, ROUTER_V6, OUTSIDE_V6, WORLD_V6 = "2a02:77::7", "2a02:77::1", "2a02:99::9", "2a02:99::1"
RULES = """
table inet filter {
  chain miniupnpd { }
  chain input { type filter hook input priority 0; %s }
  chain forward { type filter hook forward priority 0; policy drop;
                  ct state established,related accept; iifname "lan0" accept; jump miniupnpd; }
}
table inet nat {
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; jump postrouting_miniupnpd;
                      oifname "wan0" masquerade; }
}
"""
# What a router is told that speaks the older protocol alone: questions of the newer one get lost.
NO_PCP = "udp dport 5351 @th,64,8 2 drop;"
CONFIGURATION = """
ext_ifname=wan0
listening_ip=lan0
port=5000
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode={secure}
system_uptime=no
uuid=09b8d5bb-edeb-4131-9ddd-6eaf6f5b65f8
upnp_table_name=filter
upnp_nat_table_name=nat
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
lease_file={directory}/leases
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


class Space:
    """One network namespace, for as long as a process holds it."""

    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.name = f"/proc/{self.holder.pid}/ns/net"
        own = self.link("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        # `unshare` becomes `sleep` only inside.
        while self.link(self.name) == own:
            if time.monotonic() > deadline:
                raise Failed("there is no network namespace: this takes root")
        self.run("ip", "link", "set", "lo", "up")

    @staticmethod
    def link(path):
        return subprocess.run(["readlink", path], capture_output=True, text=True, check=False).stdout

    def inside(self, *command):
        return ["nsenter", f"--net={self.name}", "--", *map(str, command)]

    def run(self, *command, stdin=None):
        done = subprocess.run(self.inside(*command), input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed(f"{' '.join(map(str, command))}: {done.stderr}")
        return done.stdout

    def end(self):
        self.holder.kill()
        self.holder.wait()


class HomeNetwork:
    """`rules` are further ones for what comes to the router itself."""

    def __init__(self, directory, rules=""):
        self.directory = directory
        self.house, self.router, self.world = Space(), Space(), Space()
        self.spaces = (self.house, self.router, self.world)
        self.daemon = None
        router = self.router
        for name, peer, space in (("lan0", "eth0", self.house), ("wan0", "net0", self.world)):
            router.run("ip", "link", "add", name, "type", "veth", "peer", "name", peer,
                       "netns", space.holder.pid)
        for space, device, addresses in ((router, "lan0", (f"{ROUTER}/24", f"{ROUTER_V6}/64")),
                                         (router, "wan0", (f"{OUTSIDE}/24", f"{OUTSIDE_V6}/64")),
                                         (self.house, "eth0", (f"{HOUSE}/24", f"{HOUSE_V6}/64")),
                                         (self.world, "net0", (f"{WORLD}/24", f"{WORLD_V6}/64"))):
            # Nobody else is there who could have an address.
            space.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{device}/accept_dad")
            for address in addresses:
                space.run("ip", "address", "add", address, "dev", device)
            space.run("ip", "link", "set", device, "up")
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            router.run("sh", "-c", f"echo 1 > /proc/sys/net/{switch}")
        self.house.run("ip", "route", "add", "default", "via", ROUTER)
        link = router.run("ip", "-6", "-o", "address", "show", "dev", "lan0", "scope", "link").split()[3]
        self.house.run("ip", "-6", "route", "add", "default", "via", link.partition("/")[0], "dev", "eth0")
        self.world.run("ip", "-6", "route", "add", "default", "via", OUTSIDE_V6)
        router.run("nft", "-f", "-", stdin=RULES % rules)

    async def start(self, natpmp=False, upnp=False, secure=True):
        """The router's daemon, with these protocols."""
        await self.stop()
        word = {True: "yes", False: "no"}
        config = self.directory / "miniupnpd.conf"
        config.write_text(CONFIGURATION.format(directory=self.directory, natpmp=word[natpmp], upnp=word[upnp],
                                               secure=word[secure]))
        self.router.run("nft", "flush", "chain", "inet", "filter", "miniupnpd")
        self.router.run("nft", "flush", "chain", "inet", "nat", "prerouting_miniupnpd")
        self.router.run("nft", "flush", "chain", "inet", "nat", "postrouting_miniupnpd")
        (self.directory / "leases").write_text("")
        with (self.directory / "miniupnpd.log").open("ab") as log:
            self.daemon = await asyncio.create_subprocess_exec(
                *self.router.inside("miniupnpd", "-d", "-f", config, "-P", self.directory / "miniupnpd.pid"),
                stdout=log, stderr=log)
        listens = "5000" if upnp else "5351"
        await until("miniupnpd does not listen", lambda: f":{listens} " in self.router.run("ss", "-lntuH"))

    async def stop(self):
        if self.daemon and self.daemon.returncode is None:
            self.daemon.terminate()
            await self.daemon.wait()

    def forwarded(self):
        """What the router lets in, as its kernel has it."""
        return self.router.run("nft", "list", "chain", "inet", "nat", "prerouting_miniupnpd")

    def world_reaches(self, port, address=OUTSIDE):
        """Whether somebody outside gets a connection."""
        code = f"import socket; socket.create_connection(('{address}', {port}), 3)"
        done = subprocess.run(self.world.inside("python3", "-c", code), capture_output=True, check=False)
        return done.returncode == 0

    async def end(self):
        await self.stop()
        for space in self.spaces:
            space.end()
