"""What a page is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from hustlex.core.cursor import LONGEST
from hustlex.core.redact import Formatter, Redacted, What, shown
from hustlex.dashboard.names import to_url
from hustlex.dashboard.operators import Operator
from hustlex.dashboard.patrol import Patrol
from hustlex.dashboard.runner import BulkRunner
from hustlex.dashboard.tails import Tails
from hustlex.errors import NotFound
from hustlex.events.names import ChannelTemplate
from hustlex.jobs.search import match
from hustlex.people.person import Rules
from hustlex.people.resend import Resend

if TYPE_CHECKING:
    from hustlex.app import HustleX

_LONGEST = 1_000


class PageRequest(msgspec.Struct, frozen=True):
    """One look at one page, by a person or for all who have it open."""

    hx: HustleX
    operator: Operator
    formatter: Formatter
    root: str
    """The path under which the console is mounted, without a slash at its end."""
    params: Mapping[str, str]
    """What stands in the path, decoded."""
    query: Mapping[str, str]
    form: Mapping[str, str] = {}
    """What was sent with a look-up: phones, users and keys stand in no address and no log."""
    runner: BulkRunner | None = None
    """Makes the steps of bulk acts."""
    still_may: Callable[[], Awaitable[bool]] | None = None
    """Asks again for the rights of who sent this."""
    tails: Tails | None = None
    """Channels that are listened to."""
    patrol: Patrol | None = None
    """What is asked of the whole server once a minute."""
    rules: Rules = ()
    """Limits that are looked at for one person."""
    channels: tuple[ChannelTemplate, ...] = ()
    """Channels of one person."""
    resend: Resend | None = None
    """Sends a person a code again."""

    def url(self, *parts: str, **query: object) -> str:
        """An address of ours: names are coded, empty values left out."""
        path = "/".join([self.root, parts[0], *map(to_url, parts[1:])]) if parts else f"{self.root}/"
        given = {name: str(value) for name, value in query.items() if value not in (None, "")}
        return f"{path}?{urlencode(given)}" if given else path

    def word(self, name: str, default: str = "", *, longest: int = _LONGEST) -> str:
        """A value of the query, cut."""
        return self.query.get(name, default)[:longest]

    def given(self, name: str) -> str:
        """A field of the look-up, cut; "" when the page was only opened."""
        return self.form.get(name, "").strip()[:_LONGEST]

    def page_number(self) -> int:
        """``page`` of the query, from 1; 1 for what is none."""
        text = self.word("page", "1")
        return min(max(int(text), 1), 10**6) if text.isascii() and text.isdecimal() and len(text) < 9 else 1

    def behind(self) -> str:
        """``cursor`` of the query, as lists that we seal the places of have it."""
        return self.word("cursor", longest=LONGEST)

    def cursor(self) -> str:
        """``cursor`` of the query, as SSCAN and HSCAN have them; "" for what is none."""
        text = self.word("cursor", longest=20)
        return text if text.isascii() and text.isdecimal() and int(text) < 2**64 else ""

    def queue(self) -> str:
        """The queue in the path. Raises NotFound for one that does not exist for this person."""
        name = self.params["queue"]
        if not self.operator.sees_queue(name):
            raise NotFound(f"there is no queue {name!r}")
        return name

    def show(self, what: What) -> Redacted:
        """What may be shown of a value."""
        return shown(self.formatter, what)

    def view(self) -> match.View | None:
        """What of a value this person may see, and so find; None = all of it."""
        if self.operator.reveal:
            return None
        return lambda kind, value, task_type: self.show(What(kind, value, task_type)).value  # type: ignore[arg-type]

    async def still(self) -> bool:
        """Whether who sent this may do what they could then."""
        return self.still_may is None or await self.still_may()


class PageContent(msgspec.Struct, frozen=True):
    """A page's content. template: its file's stem. title: of the window."""

    template: str
    title: str
    values: dict[str, Any] = {}
    status: int = 200
    trouble: int = 0
    """How many things need attention: the window's title says so."""
    elsewhere: str = ""
    """An address to go to instead."""
    live: bool = True
    """Whether it may be rendered again and again while somebody has it open."""


View = Callable[[PageRequest], Awaitable[PageContent]]
