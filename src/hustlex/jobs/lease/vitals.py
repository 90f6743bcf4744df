"""How a worker process stands, as it tells with its heartbeat: beside its task types, in the same key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from hustlex.core.faults import readable
from hustlex.core.words import duration

_MOST = 20
_LONGEST = 200
_MOST_TEXT = 300

# Whoever may write to the server may tell something: what a page cannot show is not read.
Amount = Annotated[int, Meta(ge=0, le=2**62)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
Text = Annotated[str, Meta(max_length=_MOST_TEXT)]


class Vitals(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a worker process stood at its last heartbeat."""

    version: Text = ""
    """Of the package."""
    lag: Seconds = 0.0
    """Seconds: the longest time in the last minute for which its event loop answered nobody."""
    memory: Amount = 0
    """Resident bytes; 0 where its system does not tell."""
    ahead: Amount = 0
    """Tasks it leased and did not start yet."""
    hung: Amount = 0
    """Handlers that were told to stop and run on."""
    blocks: Annotated[dict[Text, Seconds], Meta(max_length=_MOST)] = {}
    """The longest time, in seconds, for which a handler of a task type kept the event loop, in the last ten minutes.
    The 20 longest."""
    trouble: Annotated[dict[Text, Text], Meta(max_length=_MOST)] = {}
    """What does not work, by part or queue, and why; 20 at most, in 200 characters each."""

    @property
    def wrong(self) -> list[str]:
        """What does not work and what blocks, in words."""
        blocks = [f"{name} kept the event loop for {duration(seconds)}" for name, seconds in self.blocks.items()]
        return [f"{part}: {why}" for part, why in self.trouble.items()] + blocks


class _Told(msgspec.Struct):
    now: Vitals | None = None


def bounded(blocks: Mapping[str, float], trouble: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    """As much of both as a heartbeat carries."""
    worst = sorted(blocks.items(), key=lambda pair: -pair[1])[:_MOST]
    wrong = list(trouble.items())[:_MOST]
    return (
        {readable(name)[:_MOST_TEXT]: seconds for name, seconds in worst},
        {readable(part)[:_MOST_TEXT]: readable(why)[:_LONGEST] for part, why in wrong},
    )


def with_vitals(served: bytes, vitals: Vitals) -> bytes:
    """served: the JSON object of ``encode_served``, which readers of before go on reading."""
    return served[:-1] + b',"now":' + msgspec.json.encode(vitals) + b"}"


def decode_vitals(data: bytes | None) -> Vitals | None:
    """None for a process that does not tell: Go's do not, nor did earlier versions."""
    try:
        return None if data is None else msgspec.json.decode(data, type=_Told).now
    except msgspec.MsgspecError:
        return None
