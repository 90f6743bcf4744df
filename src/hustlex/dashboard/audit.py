"""Who did what through the console."""

from __future__ import annotations

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.core.printable import printable
from hustlex.dashboard.operators import Operator
from hustlex.errors import Error
from hustlex.people.notes import AuditEntry, Phase, ended, entry, note, notes

_log = logger("hustlex.audit")


class Audit:
    """A capped stream of what was done, which the command line writes as well."""

    def __init__(self, driver: AsyncDriver, prefix: str) -> None:
        self._driver = driver
        self._prefix = prefix

    async def note(
        self, operator: Operator, phase: Phase, verb: str, target: str, *, queue: str = "", **more: str
    ) -> str:
        """Write an entry; answers its id. Raises Unavailable: what cannot be written down is not done."""
        fields = entry(operator.name, "web", phase, verb, target, queue=queue, **more)
        return await self._driver.run(note(self._prefix, fields))

    async def over(self, operator: Operator, phase: Phase, verb: str, target: str, **more: str) -> None:
        """How an act ended. What was done is done, whether that can be written down or not."""
        try:
            await self.note(operator, phase, verb, target, **more)
        except Error as error:
            _log.warning("%s %s, which is not in the audit: %s", verb, phase, printable(error.message))

    async def newest(
        self, before: str = "", count: int = 50, since_ms: int | None = None, until_ms: int | None = None
    ) -> list[AuditEntry]:
        """Entries, newest first. before: the id after which to go on. since_ms, until_ms: Unix times."""
        return await self._driver.run(notes(self._prefix, before, count, since_ms, until_ms))

    async def ended(self, after: str) -> set[str]:
        """Acts whose end stands among the hundred entries just after this one."""
        found = await self._driver.run(ended(self._prefix, after))
        return set(found)
