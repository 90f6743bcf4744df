"""Live events between processes and to browsers: typed channels, resumable, breaks always shown.

How a call flows: ``api.py`` declares a channel, judged by ``declaring.py``; its name ``names.py`` fills. ``wire.py``
encodes a message, ``ops.py`` publishes it in one command or script, with or without history, alone or with others
(``sharing/aio.py``). A subscriber gets a ``subscription.py``; ``hub.py`` has one feed of the driver for all
subscribers of a channel in this process, decodes once, and hands on what arrives. What a feed knows and does next,
also after a break, says its cursor (``cursors.py``).

``presence.py`` tells who is there; ``presence_keeper.py`` gives the signs of life of this process.
``inspector.py`` answers what an operator asks.
"""

from hustlex.events.api import Channel, Events, ReplayChannel
from hustlex.events.inspector import EventInspector
from hustlex.events.presence import Presence
from hustlex.events.presence_ops import Member, PresenceCount
from hustlex.events.subscription import Subscription, Together, together
from hustlex.events.types import Gap, Message, Parameter, Position, Unknown

__all__ = [
    "Channel",
    "EventInspector",
    "Events",
    "Gap",
    "Member",
    "Message",
    "Parameter",
    "Position",
    "Presence",
    "PresenceCount",
    "ReplayChannel",
    "Subscription",
    "Together",
    "Unknown",
    "together",
]
