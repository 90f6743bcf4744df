"""Live events between processes and to browsers: typed channels over pub/sub, at most once, breaks always shown."""

from hustlex.events.api import Channel, Events
from hustlex.events.subscription import Subscription
from hustlex.events.types import Gap, Message, Parameter, Unknown

__all__ = ["Channel", "Events", "Gap", "Message", "Parameter", "Subscription", "Unknown"]
