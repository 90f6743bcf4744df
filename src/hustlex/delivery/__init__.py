"""Getting codes to people: a task that sends them, by one channel or the next, from a queue that holds no code; and
events to their channels, by a job that goes with a transaction."""

from hustlex.delivery.events import EventTask, publish_events
from hustlex.delivery.senders import CallbackSender, ConsoleSender, HttpSender, Message, Sender, SendFailed
from hustlex.delivery.task import Courier, deliver_codes
from hustlex.delivery.texts import Texts

__all__ = [
    "CallbackSender",
    "ConsoleSender",
    "Courier",
    "EventTask",
    "HttpSender",
    "Message",
    "SendFailed",
    "Sender",
    "Texts",
    "deliver_codes",
    "publish_events",
]
