"""Converse.js in Chromium, over BOSH (XEP-0124, XEP-0206) and HTTP/2."""

from household import household
from waiting import Failed, step

SERVERS = ("hearth",)


async def go(server, directory):
    async with household(server, directory, over_bosh) as home:
        with step("the pages log in over BOSH"):
            for person in (home.alice, home.bob):
                await person.log_in()
        await home.befriend()
        await home.chat()
        await home.meet()
        await home.show()
        with step("all of it was BOSH, by HTTP/2, and the browser asked but once whether it may (CORS)"):
            for person in (home.alice, home.bob):
                page = person.page
                answered = [one for one in page.asked("POST", "/http-bind") if "protocol" in one]
                others = [one for one in answered if (one["status"], one["protocol"]) != (200, "h2")]
                leaves = page.asked("OPTIONS", "/http-bind")
                if page.sockets or not answered or others or len(leaves) != 1:
                    raise Failed(f"{person.jid} came by {page.sockets}, {len(answered)} requests, {others}; {leaves}")
        await home.reload()
        await home.start_again(server.stop, "stopped")
        await home.start_again(server.kill, "killed")


def over_bosh(server):
    return {"discover_connection_methods": False,
            "bosh_service_url": f"https://{server.domain}:{server.https}/http-bind"}
