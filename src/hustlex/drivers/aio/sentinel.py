"""Where the primary is, asked of Sentinels before each dial."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec.structs import replace

from hustlex.drivers.address import Address
from hustlex.drivers.aio.connection import ReplyError
from hustlex.drivers.aio.dial import Fixed, dial
from hustlex.drivers.aio.options import Options
from hustlex.drivers.faults import Late, Lost, NotSent, nameless, refusal
from hustlex.drivers.pack import join
from hustlex.drivers.url import Endpoint
from hustlex.drivers.watching import place_in, questions_of
from hustlex.errors import Unavailable

ANSWER_S = 0.3
"""A Sentinel that does not answer in this time is passed over."""


class Sentinels:
    """A ``Where``. The one that answered last is asked first the next time."""

    def __init__(self, address: Address, options: Options) -> None:
        self._sentinels = list(address.sentinels)
        self._address = address
        self._options = replace(options, connect=ANSWER_S)
        self.title = self.node = address.where

    async def resolve(self) -> Endpoint:
        """Raises Unavailable, or ConfigurationError when all that answer know no such name."""
        unknown, failure = False, ""
        for sentinel in [*self._sentinels]:
            try:
                place = await self._ask(sentinel)
            except (Late, Lost, NotSent, Unavailable) as error:
                failure = str(error) or "no answer"
                continue
            if place is None:
                unknown = True
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            found = self._address.at(place[0].decode(), int(place[1]))
            self.node = found.where
            return found
        if unknown and not failure:
            raise nameless(self._address.service)
        raise Unavailable(f"no Sentinel could say where the server is: {failure}")

    async def _ask(self, sentinel: Endpoint) -> Any:
        """Host and port, or None when it knows no such name."""
        connection = await dial(Fixed(sentinel), self._options, lambda _: None)
        deadline = asyncio.get_running_loop().time() + ANSWER_S
        questions = questions_of(self._address)
        try:
            replies = await asyncio.gather(*[connection.send(join(words), deadline) for words in questions])
        finally:
            connection.abort("a Sentinel was asked")
        for reply in replies if replies[0] is not None else ():
            if isinstance(reply, ReplyError):
                raise refusal(str(reply))
        return place_in(replies)
