"""Who did what: each act is written down before it is done, and again when it is."""

from __future__ import annotations

import json
from typing import Literal

from hustlex.core.logs import logger
from hustlex.core.op import AsyncDriver
from hustlex.dashboard import ops
from hustlex.dashboard.operators import Operator
from hustlex.people.notes import AuditEntry, notes

Phase = Literal["intent", "done", "failed", "refused", "signed in"]

_log = logger("hustlex.audit")


class Audit:
    """A capped stream of what was done through the console; each entry goes to the log ``hustlex.audit``, too."""

    def __init__(self, driver: AsyncDriver, prefix: str) -> None:
        self._driver = driver
        self._prefix = prefix

    async def note(
        self, operator: Operator, phase: Phase, verb: str, target: str, *, queue: str = "", **more: str
    ) -> str:
        """Write an entry; answers its id. Raises Unavailable: what cannot be written down is not done."""
        fields = {"name": operator.name, "phase": phase, "verb": verb, "target": target, "queue": queue, **more}
        entry = await self._driver.run(ops.note(self._prefix, fields))
        _log.info("%s", json.dumps({"id": entry, **fields}, ensure_ascii=True))
        return entry

    async def newest(
        self, before: str = "", count: int = 50, since_ms: int | None = None, until_ms: int | None = None
    ) -> list[AuditEntry]:
        """Entries, newest first. before: the id after which to go on. since_ms, until_ms: Unix times."""
        return await self._driver.run(notes(self._prefix, before, count, since_ms, until_ms))
