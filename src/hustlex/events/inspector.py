"""The operator's side: does anybody listen?"""

from __future__ import annotations

from hustlex.core.answer.aio import answering
from hustlex.core.op import AsyncDriver
from hustlex.events import ops
from hustlex.events.names import ChannelTemplate


@answering
class EventInspector:
    """Looks at channels. Sends nothing, and reads no message."""

    def __init__(self, driver: AsyncDriver, prefix: str) -> None:
        self._driver = driver
        self._prefix = prefix

    async def listeners(self, channel: str) -> int:
        """How many connections listen to a channel, as ``orders:42``; a process listens once for all its subscribers.

        Raises Misuse for what is no name, Unavailable.
        """
        template = ChannelTemplate(channel, self._prefix, sharded=self._driver.link.cluster)
        return await self._driver.follow(ops.listeners(template, template.name({})))
