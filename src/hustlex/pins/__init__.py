"""Transaction PINs with lockout.

How a call flows: ``api.py`` is the door. ``rules.py`` refuses PINs that are easy to guess; ``flows.py`` counts the
attempt first (``ops.py``, one script of ``lua/``), then compares: ``hashing.py`` computes Argon2id in the threads of
``aio.py`` or ``blocking.py``, before which ``hash_queue.py`` bounds who may wait. A right PIN takes its attempt back.

``inspector.py`` answers what an operator asks, by ``look.py``.
"""

from hustlex.core.context import Context
from hustlex.pins.api import Pins
from hustlex.pins.inspector import PinInspector
from hustlex.pins.look import PinState
from hustlex.pins.options import PinOptions
from hustlex.pins.types import (
    HashResult,
    PinHashed,
    PinLocked,
    PinMalformed,
    PinOk,
    PinWeak,
    PinWrong,
    VerifyResult,
    Weakness,
)

__all__ = [
    "Context",
    "HashResult",
    "PinHashed",
    "PinInspector",
    "PinLocked",
    "PinMalformed",
    "PinOk",
    "PinOptions",
    "PinState",
    "PinWeak",
    "PinWrong",
    "Pins",
    "VerifyResult",
    "Weakness",
]
