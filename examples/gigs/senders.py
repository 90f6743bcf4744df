"""How messages leave: to a file for development, or to an HTTP gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

from examples.gigs.settings import GigsSettings
from hustlex.core import private
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError


class Sender(Protocol):
    """Sends one message. ``key`` names it: a message sent twice with one key is one message."""

    async def sms(self, phone: str, text: str, key: str) -> None:
        """To a phone number (E.164)."""
        ...

    async def push(self, user_id: int, title: str, text: str, key: str) -> None:
        """To a user's devices."""
        ...


class ConsoleSender:
    """For development: says that a message went out, and writes it to the outbox file.

    The text goes to the file only, since it may carry a code.
    """

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox

    async def sms(self, phone: str, text: str, key: str) -> None:
        self._write({"kind": "sms", "to": phone, "text": text, "key": key}, f"sms to ...{phone[-4:]}")

    async def push(self, user_id: int, title: str, text: str, key: str) -> None:
        message = {"kind": "push", "to": user_id, "title": title, "text": text, "key": key}
        self._write(message, f"push to user {user_id}: {title}")

    def _write(self, message: dict[str, object], line: str) -> None:
        with private.append(self._outbox) as file:
            file.write(json.dumps(message) + "\n")
        print(f"{line} (text in {self._outbox.name})", flush=True)


class GatewaySender:
    """Posts each message as JSON to one URL, with its key as Idempotency-Key. Raises on any answer but 2xx."""

    def __init__(self, url: str) -> None:
        import httpx

        self._url = url
        self._client = httpx.AsyncClient(timeout=10)

    async def sms(self, phone: str, text: str, key: str) -> None:
        await self._post({"kind": "sms", "to": phone, "text": text}, key)

    async def push(self, user_id: int, title: str, text: str, key: str) -> None:
        await self._post({"kind": "push", "to": user_id, "title": title, "text": text}, key)

    async def _post(self, message: dict[str, object], key: str) -> None:
        answer = await self._client.post(self._url, json=message, headers={"Idempotency-Key": key})
        answer.raise_for_status()


def make_sender(settings: GigsSettings) -> Sender:
    """The gateway when one is set, else the console, which production refuses."""
    if not settings.sms_gateway and in_production():
        raise ConfigurationError("in production messages need a gateway", hint="set GIGS_SMS_GATEWAY")
    return GatewaySender(settings.sms_gateway) if settings.sms_gateway else ConsoleSender(settings.outbox)
