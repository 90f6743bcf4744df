"""Live events between processes and to browsers: typed channels over pub/sub, at most once, breaks always shown.

How a call flows: ``api.py`` declares a channel, whose name ``names.py`` checks and fills; ``wire.py`` encodes a
message, ``ops.py`` publishes it in one command. A subscriber gets a ``subscription.py``; ``hub.py`` has one
subscription of the driver for all subscribers of a channel in this process, decodes once, and hands on what arrives.

``inspector.py`` answers what an operator asks.
"""

from hustlex.events.api import Channel, Events
from hustlex.events.inspector import EventInspector
from hustlex.events.subscription import Subscription
from hustlex.events.types import Gap, Message, Parameter, Unknown

__all__ = ["Channel", "EventInspector", "Events", "Gap", "Message", "Parameter", "Subscription", "Unknown"]
