"""Which channels clients may name, and what each of them may do there: nothing, unless somebody allows it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from hustlex.core import check
from hustlex.core.logs import logger
from hustlex.errors import Misuse
from hustlex.events import Channel, Presence, ReplayChannel
from hustlex.events.names import ChannelTemplate, quoted
from hustlex.tokens import Access, ChannelAccess, Rejected, Rejection, Tokens

Action = Literal["subscribe", "publish", "history", "presence"]
Family = Channel[Any] | ReplayChannel[Any]

_BOUND_TO_USER = "#"
_log = logger("hustlex.web")


class Allow(msgspec.Struct, frozen=True):
    """Yes. until: it is asked again then; None: for as long as the connection lasts."""

    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.until is not None:
            check.moment("until", self.until)


class Deny(msgspec.Struct, frozen=True):
    """No."""


Authorize = Callable[[Access | None, str, dict[str, str], Action], Awaitable[Allow | Deny]]
"""May this user (None: nobody is logged in) do this on the channel of this name, with these values in it?"""


class Named(msgspec.Struct, frozen=True):
    """A channel that a client has named. family: None for a job's. values: those in its name."""

    name: str
    family: Family | None
    values: dict[str, Any]


class HeardChannel(msgspec.Struct, frozen=True):
    """A channel that a client may hear. until: what follows then. shown: by a subscription token, of which another one
    has to be shown until then; else it is asked again."""

    named: Named
    until: datetime | None
    shown: bool = False


def job_names(template: str) -> ChannelTemplate:
    """Names of jobs' channels. Raises Misuse."""
    made = ChannelTemplate(template)
    if "task_id" not in made.parameters or made.parameters - {"task_id", "queue"}:
        raise Misuse("the names of jobs' channels name the job", hint="as jobs:{task_id} or jobs:{queue}:{task_id}")
    return made


class Crowd(msgspec.Struct, frozen=True):
    """Who is at a channel. values: those in its name."""

    presence: Presence
    values: dict[str, Any]


class Exposed:
    """The channels that are declared for clients."""

    def __init__(
        self, channels: Sequence[Family], authorize: Authorize, presence: Sequence[Presence] = (), jobs: str = ""
    ) -> None:
        self._families = check.several("channels", channels)
        for family in self._families:
            check.instance("channel", family, Channel, ReplayChannel, hint="pass what hx.events.channel returned")
        if not self._families:
            raise Misuse("no channels are given", hint="pass those that clients may name")
        self._crowds = check.several("presence", presence)
        for crowd in self._crowds:
            check.instance("presence", crowd, Presence, hint="pass what hx.events.presence returned")
        self._jobs = job_names(jobs) if jobs else None
        self.hub = self._families[0].hub
        self._authorize = check.function("authorize", authorize)

    def find(self, name: str) -> Named | None:
        """None for a name that no declared channel has."""
        for family in self._families:
            values = family.declared.template.match(name)
            if values is not None:
                return Named(name, family, values)
        job = self._jobs.match(name) if self._jobs is not None else None
        return None if job is None else Named(name, None, job)

    def crowd(self, name: str) -> Crowd | None:
        """Where it is known who is at this channel; None where nobody wants to know."""
        for presence in self._crowds:
            values = presence.template.match(name)
            if values is not None:
                return Crowd(presence, values)
        return None

    async def allows(self, access: Access | None, named: Named, action: Action) -> Allow | None:
        """None: it does not. A name that ends in ``#<user>`` is that user's alone, whatever else is allowed."""
        if _is_anothers(named.name, None if access is None else access.user_id):
            return None
        answer = await self._authorize(access, named.name, named.values, action)
        check.instance("what authorize answers", answer, Allow, Deny)
        return answer if isinstance(answer, Allow) else None

    async def shown(
        self, tokens: Tokens, user_id: str | None, named: Named, token: str
    ) -> ChannelAccess | Literal["expired", "denied"]:
        """What a subscription token allows, without asking anybody. user_id: whose it must be; None: it says that
        itself."""
        answer = await tokens.check_subscription(token, named.name)
        if isinstance(answer, ChannelAccess) and answer.expires_at <= tokens.now():
            answer = Rejected(Rejection.EXPIRED)  # only by the leeway it counts: nothing is left of it
        if isinstance(answer, Rejected):
            _log.info("a subscription token was refused: %s", answer.reason)
            return "expired" if answer.reason is Rejection.EXPIRED else "denied"
        theirs = user_id in (None, answer.user_id) and not _is_anothers(named.name, answer.user_id)
        return answer if theirs else "denied"


def _is_anothers(name: str, user_id: str | None) -> bool:
    _, bound, owner = name.rpartition(_BOUND_TO_USER)
    return bool(bound) and (user_id is None or owner != quoted(user_id))
