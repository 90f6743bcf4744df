"""How a message leaves: a protocol, a console for development, and an HTTP gateway."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from hustlex.core import check, private
from hustlex.core.answer.aio import answering
from hustlex.core.extras import require
from hustlex.core.outcome import Secretive
from hustlex.core.printable import printable
from hustlex.environment import in_production
from hustlex.errors import ConfigurationError, Error, Misuse

if TYPE_CHECKING:
    import httpx

_TIMEOUT_S = 10.0


class Message(Secretive, frozen=True, eq=False):
    """to: E.164, or an e-mail address. key: names it; a provider that gets one key twice sends one message. subject:
    of an e-mail; "" for phones.
    """

    to: str
    text: str
    key: str
    subject: str = ""
    hidden: ClassVar[frozenset[str]] = frozenset({"to", "text"})

    @property
    def by_mail(self) -> bool:
        """Whether it goes to an e-mail address."""
        return "@" in self.to


class SendFailed(Error):
    """The message was certainly not sent. permanent: it never will be on this channel, as for a number out of service.

    Whatever else a sender raises means that nobody knows; then the same message is tried again with the same key, and
    no other channel is, because two messages are worse than a late one.
    """

    code = "send_failed"

    def __init__(self, message: str, *, permanent: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.permanent = permanent


class Sender(Protocol):
    """One channel. channel: "email" for a sender that takes e-mail, "console" for one that takes all, any other, as
    "sms", "voice" or "whatsapp", for one that takes phones; for events and metrics too.
    """

    channel: str

    async def send(self, message: Message) -> None:
        """Hand the message to the provider. Raises SendFailed when it certainly was not taken."""
        ...


@answering
class ConsoleSender:
    """For development: says that a message went out, and writes it to a file, one JSON object a line.

    file: only its owner may read it. None shows the text on standard output instead; it holds a code, so never where
    logs are kept. Raises ConfigurationError where HUSTLEX_ENV is production: nobody would get a code, but logs would.
    """

    channel = "console"

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            check.instance("file", file, Path)
        if in_production():
            raise ConfigurationError(
                "the console sender is for development; HUSTLEX_ENV is production",
                hint="pass a sender that reaches people, as HttpSender",
            )
        self._file = file

    async def send(self, message: Message) -> None:
        check.instance("message", message, Message)
        line = {
            "kind": "email" if message.by_mail else "sms",
            "to": message.to,
            "text": message.text,
            "key": message.key,
        }
        await asyncio.to_thread(self._write, line)

    def _write(self, line: dict[str, str]) -> None:
        if self._file is None:
            sys.stdout.write(printable(f"to {line['to']}: {line['text']}") + "\n")
            return
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with private.append(self._file) as file:
            file.write(json.dumps(line) + "\n")
        sys.stdout.write(f"{line['kind']} to ...{line['to'][-4:]} (text in {self._file.name})\n")


def _json_body(message: Message) -> dict[str, Any]:
    return {"to": message.to, "text": message.text} | ({"subject": message.subject} if message.subject else {})


@answering
class HttpSender:
    """Posts each message as JSON to a gateway, with its key as Idempotency-Key (``pip install 'hustlex[gateway]'``).

    body: what the gateway wants; default ``{"to": ..., "text": ...}``, of an e-mail ``subject`` too. client: bring your
    own, for a proxy or tests.
    Status 2xx: taken. 408, 425, 429, 5xx and a connection that could not be made: not sent, the next channel is tried.
    Other 4xx: not sent, for good. A reply that did not come in time: nobody knows.
    """

    def __init__(
        self,
        url: str,
        *,
        channel: str = "sms",
        headers: Mapping[str, str] | None = None,
        body: Callable[[Message], dict[str, Any]] = _json_body,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        if not check.typed("url", url).startswith(("https://", "http://")):
            raise Misuse("url is no http:// or https:// URL", hint="as https://gateway.example/messages")
        check.instance("headers", {} if headers is None else headers, Mapping)
        for name, value in (headers or {}).items():
            check.typed("a header's name", name)
            check.typed("a header", value)
        self.channel = check.text("channel", channel, longest=40)
        check.function("body", body)
        if client is not None and not callable(getattr(client, "post", None)):
            check.instance("client", client, hint="pass an httpx.AsyncClient")
        self._url = url
        self._headers = dict(headers or {})
        self._body = body
        self._client = client or _new_client()

    async def send(self, message: Message) -> None:
        import httpx

        check.instance("message", message, Message)
        headers = self._headers | {"Idempotency-Key": message.key}
        try:
            answer = await self._client.post(self._url, json=self._body(message), headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise SendFailed(f"the gateway cannot be reached: {type(error).__name__}") from None
        except httpx.HTTPError as error:
            # Its text holds the URL, and that may hold a key.
            raise TimeoutError(f"the gateway did not answer: {type(error).__name__}") from None
        status = answer.status_code
        if status >= 300:
            passing = status in (408, 425, 429) or status >= 500
            raise SendFailed(f"the gateway answered {status}", permanent=not passing)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


@answering
class CallbackSender:
    """Hands each message to a function of yours, as one around ``smtplib`` or a provider's library.

    function: async, or plain, which runs in a thread. It raises SendFailed when the message was certainly not sent.
    """

    def __init__(self, function: Callable[[Message], Awaitable[None] | None], *, channel: str = "email") -> None:
        self.channel = check.text("channel", channel, longest=40)
        self._function = check.function("function", function)

    async def send(self, message: Message) -> None:
        check.instance("message", message, Message)
        if inspect.iscoroutinefunction(self._function):
            await self._function(message)
            return
        answer = await asyncio.to_thread(self._function, message)
        if inspect.isawaitable(answer):
            await answer


def _new_client() -> httpx.AsyncClient:
    require("HttpSender", "gateway", "httpx")
    import httpx

    return httpx.AsyncClient(timeout=_TIMEOUT_S)
