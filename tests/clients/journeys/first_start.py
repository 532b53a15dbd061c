"""The first minutes with Hearth, as the README has them: an empty directory, no configuration, standard
ports."""

from slixmpp_client import Slixmpp
from waiting import Failed, step

# Prosody has no such promise.
SERVERS = ("hearth",)

PASSWORD = "first password"


async def go(server, directory):
    home = directory / "home"
    home.mkdir()
    server.options, server.working_directory = [], home
    server.ca = home / "hearth-data" / "tls" / "self-signed.pem"

    with step("it starts in an empty directory and keeps everything in ./hearth-data"):
        await server.serve()
        if [path.name for path in home.iterdir()] != ["hearth-data"]:
            raise Failed(f"the directory has {sorted(path.name for path in home.iterdir())}")

    with step("it listens on 5222 and 5223"):
        if (server.c2s, server.c2s_tls) != (5222, 5223):
            raise Failed(f"it listens on {server.c2s} and {server.c2s_tls}")

    with step("an account is added, and logs in on both ports with the certificate that was made"):
        await server.add_user("alice", PASSWORD)
        for direct_tls in (False, True):
            await (await Slixmpp(server, "alice@localhost", PASSWORD, direct_tls=direct_tls).log_in()).leave()

    with step("a second start finds everything as it was"):
        certificate = server.ca.read_bytes()
        await server.stop()
        await server.serve()
        if server.ca.read_bytes() != certificate:
            raise Failed("the certificate is another one")
        await (await Slixmpp(server, "alice@localhost", PASSWORD).log_in()).leave()
