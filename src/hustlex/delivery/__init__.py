"""Getting codes to people: a task that sends them, by one channel or the next, from a queue that holds no code."""

from hustlex.delivery.senders import CallbackSender, ConsoleSender, HttpSender, Message, Sender, SendFailed
from hustlex.delivery.task import Courier, deliver_codes
from hustlex.delivery.texts import Texts

__all__ = [
    "CallbackSender",
    "ConsoleSender",
    "Courier",
    "HttpSender",
    "Message",
    "SendFailed",
    "Sender",
    "Texts",
    "deliver_codes",
]
