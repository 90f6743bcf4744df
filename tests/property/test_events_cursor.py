"""Whatever becomes of messages on their way: a reader hears each once and in order, or a gap, and ends up with all."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hustlex.core.follower import Ask
from hustlex.core.op import Message as Frame
from hustlex.events.cursors import Declared, ReplayCursor
from hustlex.events.names import ChannelTemplate
from hustlex.events.ops import History, KeptEvent, Retention
from hustlex.events.types import Gap, Message, Position
from hustlex.events.wire import EventCodec
from tests.support.depth import examples

SIZE = 5


class Server:
    """What ``append``, ``read`` and ``rewind`` do, in a few lines. Payloads are counted up over all epochs."""

    def __init__(self) -> None:
        self.epochs = self.sent = 0
        self.epoch, self.last, self.kept = "", 0, list[KeptEvent]()
        self.gone = set[int]()

    def append(self) -> Frame:
        if not self.epoch:
            self.begin()
        self.last, self.sent = self.last + 1, self.sent + 1
        self.kept = [*self.kept, KeptEvent(self.last, self.sent, b"%d" % self.sent)][-SIZE:]
        return Frame("c", b"1 %s %d %d\n%d" % (self.epoch.encode(), self.last, self.sent, self.sent))

    def begin(self) -> None:
        self.epochs += 1
        self.epoch, self.last, self.kept = f"e{self.epochs}", 0, []

    def flush(self) -> None:
        self.epoch, self.last, self.kept = "", 0, []

    def go_back(self) -> None:
        """A replica that had not heard of the last message takes over."""
        if self.last:
            self.gone |= {int(each.payload) for each in self.kept[-1:]}
            self.last, self.kept = self.last - 1, self.kept[:-1]

    def answer(self, op: Any) -> Any:
        if op.name == "events.rewind":
            if self.epoch == op.args[0]:
                self.begin()
            return True
        after, most, newest = op.args
        behind = [each for each in self.kept if each.offset > after]
        found = behind[-most:] if newest else behind[:most]
        return History(self.epoch, self.last if self.epoch else 0, found if self.epoch else [])


EVENTS = ["send", "send", "send", "lose", "double", "break", "flush", "go back", "fail over"]
steps = st.lists(st.sampled_from(EVENTS), max_size=40)


@settings(max_examples=examples(150))
@given(steps)
def test_each_message_once_and_in_order_or_a_gap(story: list[str]) -> None:
    server = Server()
    retention = Retention(SIZE, 1_000, 1_000, 0)
    cursor = ReplayCursor(Declared(ChannelTemplate("ns:c"), EventCodec(int, 100), retention), "ns:c")
    heard: list[Any] = []

    def settle(frame: Frame | None = None) -> None:
        """Let the reader do all it can; a frame is what it hears when it listens."""
        while True:
            step = cursor.step()
            if isinstance(step, Ask):
                heard.extend(item for item, _ in step.learn(server.answer(step.op)))
            elif frame is None:
                return
            else:
                given, frame = frame, None
                heard.extend(item for item, _ in step.hear(given))

    settle()
    away = unsaid = False
    for event in story:
        if event in ("send", "double") and away:
            settle(Frame("", b"", gap=True))
        away = event == "fail over" or (away and event in ("lose", "go back"))
        unsaid = event == "go back" or (unsaid and event == "lose")
        if event in ("send", "lose", "double"):
            frame = server.append()
            server.gone |= {server.sent} if unsaid and not away else set()
            for _ in range({"send": 1, "lose": 0, "double": 2}[event]):
                settle(frame)
        elif event == "break":
            settle(Frame("", b"", gap=True))
        elif event == "flush":
            server.flush()
        else:  # another takes over; whose link ends with that, hears it before the next message
            server.go_back()
    if away:
        settle(Frame("", b"", gap=True))
    settle(server.append())
    settle(Frame("", b"", gap=True))
    _judge(server, heard)


def _judge(server: Server, heard: list[Any]) -> None:
    before: Message[Any] | None = None
    for item in heard:
        if isinstance(item, Gap):
            before = None
            continue
        assert before is None or (item.epoch, item.offset) == (before.epoch, before.offset + 1)
        assert before is None or item.data > before.data
        assert before is None or server.gone.issuperset(range(before.data + 1, item.data)), "missed, and nothing said"
        before = item
    assert heard[-1].position == Position(server.epoch, server.last)
    assert before is None or before.data == server.sent
