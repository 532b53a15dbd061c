"""Debian's ejabberd 24.12 on the street. The Erlang machine is started without a name, so that it needs no
other process and nobody else finds it; accounts are added over its HTTP interface."""

import asyncio
import json
import os
import subprocess
import urllib.request

from servers import Server

from .houses import S2S, S2S_TLS, House

# As in Debian's `ejabberdctl`.
PROGRAM, LIBRARIES = "/usr/bin/erl", "/usr/lib/x86_64-linux-gnu"
API = 5280


class EjabberdHouse(House, Server):
    name = "ejabberd"
    rooms_name = "conference"

    def write_configuration(self):
        terms = self.terms
        further = {"mod_s2s_dialback": terms.dialback, "mod_s2s_bidi": terms.bidi}
        (self.directory / "ejabberd.yml").write_text(CONFIG.format(
            log_level=self.log_level, domain=self.domain, host=self.host, rooms=self.rooms,
            ca=self.ca, certificate=self.certificate, key=self.key, c2s=self.c2s, c2s_tls=self.c2s_tls, s2s=S2S, s2s_tls=S2S_TLS, api=API,
            modules="".join(f"  {name}: {{}}\n" for name, wanted in further.items() if wanted)))

    async def start(self):
        self.write_configuration()
        environment = {
            **os.environ, "ERL_LIBS": LIBRARIES, "EJABBERD_CONFIG_PATH": str(self.directory / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.log), "ERL_CRASH_DUMP_BYTES": "0", "HOME": str(self.directory)}
        with (self.directory / "stdout.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                PROGRAM, "-noinput", "-mnesia", "dir", json.dumps(str(self.directory / "mnesia")),
                "-s", "ejabberd", stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.directory, env=environment)
        for port in (self.c2s, API, S2S):
            await self._accepts(port)

    async def add_user(self, localpart, password):
        await self.command("register", user=localpart, host=self.domain, password=password)

    async def command(self, name, **arguments):
        """One of ejabberd's own commands; returns what it answered."""
        request = urllib.request.Request(
            f"http://{self.host}:{API}/api/{name}", json.dumps(arguments).encode(),
            {"Content-Type": "application/json"})

        def ask():
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"null")
        return await asyncio.to_thread(ask)


CONFIG = """
hosts: ["{domain}"]
loglevel: {log_level}
certfiles: ["{certificate}", "{key}"]
ca_file: "{ca}"
s2s_cafile: "{ca}"
s2s_use_starttls: required
negotiation_timeout: 10
s2s_dns_timeout: 2
s2s_dns_retries: 1
outgoing_s2s_timeout: 5
listen:
  - {{port: {c2s}, ip: "{host}", module: ejabberd_c2s, starttls: true, starttls_required: true}}
  - {{port: {c2s_tls}, ip: "{host}", module: ejabberd_c2s, tls: true}}
  - {{port: {s2s}, ip: "{host}", module: ejabberd_s2s_in}}
  - {{port: {s2s_tls}, ip: "{host}", module: ejabberd_s2s_in, tls: true}}
  - {{port: {api}, ip: "{host}", module: ejabberd_http, request_handlers: {{"/api": mod_http_api}}}}
api_permissions:
  "the journey":
    who: {{ip: "127.0.0.0/8"}}
    what: "*"
default_db: mnesia
auth_method: internal
auth_password_format: scram
modules:
  mod_adhoc: {{}}
  mod_blocking: {{}}
  mod_privacy: {{}}
  mod_caps: {{}}
  mod_carboncopy: {{}}
  mod_disco: {{}}
  mod_http_api: {{}}
  mod_last: {{}}
  mod_muc:
    host: "{rooms}"
    default_room_options: {{mam: true}}
  mod_mam: {{default: always}}
  mod_offline: {{}}
  mod_ping: {{}}
  mod_pubsub: {{plugins: [flat, pep]}}
  mod_roster: {{versioning: true}}
  mod_stream_mgmt: {{}}
  mod_time: {{}}
  mod_vcard: {{}}
  mod_vcard_xupdate: {{}}
  mod_version: {{}}
{modules}"""
