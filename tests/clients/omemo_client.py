"""A person at slixmpp who encrypts with OMEMO (XEP-0384), by the plugin that bots and bridges use. The keys live
as long as the person."""

import asyncio
import sys

from omemo.storage import Just, Nothing, Storage
from slixmpp.plugins import register_plugin
from slixmpp_omemo import XEP_0384

from slixmpp_client import Slixmpp
from waiting import Failed, until

class Keys(Storage):
    """In memory."""

    def __init__(self):
        super().__init__()
        self.kept = {}

    async def _load(self, key):
        return Just(self.kept[key]) if key in self.kept else Nothing()

    async def _store(self, key, value):
        self.kept[key] = value

    async def _delete(self, key):
        self.kept.pop(key, None)


class Omemo(XEP_0384):
    """Trusts every device blindly: whom to trust is no question to a server."""

    default_config = {**XEP_0384.default_config, "keys": None}

    @property
    def storage(self):
        return self.keys

    @property
    def _btbv_enabled(self):
        return True

    async def _prompt_manual_trust(self, manually_trusted, identifier):
        manager = await self.get_session_manager()
        for device in manually_trusted:
            await manager.set_trust(device.bare_jid, device.identity_key, "TRUSTED")


register_plugin(Omemo)


class Encrypting(Slixmpp):
    """Pass the `keys` of an earlier login to be the same device again."""

    def __init__(self, server, jid, password, keys, **more):
        super().__init__(server, jid, password, **more)
        self.heard, self.errors = [], []
        self.ready = asyncio.Event()
        self.register_plugin("xep_0380")
        self.register_plugin("xep_0384", {"keys": keys}, module=sys.modules[__name__])
        self.add_event_handler("omemo_initialized", lambda _: self.ready.set())
        self.add_event_handler("message", self._decrypt)

    async def keys_published(self):
        """Waits until the server has this device's keys."""
        await until(f"{self.boundjid} does not publish its keys", self.ready.is_set)

    async def say_secretly(self, to, body):
        """Encrypts for every device of the account, and sends."""
        message = self.make_message(mto=to, mtype="chat")
        message["body"] = body
        message.set_from(self.boundjid)
        encrypted, errors = await self["xep_0384"].encrypt_message(message, message["to"])
        self.errors.extend(map(repr, errors))
        if encrypted is None:
            raise Failed(f"{self.boundjid} has no device of {to} to encrypt for: {self.errors}")
        encrypted.send()

    async def hears_secretly(self, sender, body):
        """Waits for a message that was encrypted."""
        await until(lambda: f"{self.boundjid} did not hear {body!r} from {sender}, but {self.heard} "
                    f"and {self.errors}", lambda: (sender, body) in self.heard)

    async def _decrypt(self, message):
        plugin = self["xep_0384"]
        if not plugin.is_encrypted(message):
            return
        try:
            plain, _ = await plugin.decrypt_message(message)
            self.heard.append((message["from"].bare, plain["body"]))
        except Exception as error:  # what a library could not decrypt is told with the step that waits for it
            self.errors.append(repr(error))
