"""Exit codes: what scripts can tell apart without reading a sentence."""

from __future__ import annotations

from hustlex.errors import (
    ConfigurationError,
    Conflict,
    Denied,
    Error,
    Misuse,
    NotFound,
    OutcomeUnknown,
    Refused,
    Unavailable,
)

_NOT_READY = 3
PARTLY, WAITED, INTERRUPTED = 7, 8, 130

EXIT_CODES: dict[int, str] = {
    0: "done",
    1: "the work failed, or the answer to a question was no; with --strict: there are warnings",
    2: "bad input, settings or module, a check of doctor failed, or a confirmation is missing (--yes)",
    3: "the server cannot be reached, or is not ready: it loads its data, or is busy",
    4: "not found",
    5: "a conflict: its state forbids it",
    6: "the server denies it (of doctor: 2)",
    PARTLY: "done in part; the answer says what was not",
    WAITED: "the time to wait is over, and it has not ended",
    9: "the outcome is not known: look before repeating",
    INTERRUPTED: "interrupted with Ctrl-C",
}
"""Documented in docs/reference/commands.md."""

_CODES: tuple[tuple[type[Error], int], ...] = (
    (ConfigurationError, 2),
    (Misuse, 2),
    (Unavailable, _NOT_READY),
    (NotFound, 4),
    (Conflict, 5),
    (Denied, 6),
    (OutcomeUnknown, 9),
)


def exit_code(error: Error) -> int:
    """The documented exit code of an error."""
    from hustlex.drivers.faults import NOT_EXECUTED

    if isinstance(error, Refused) and error.server_code in NOT_EXECUTED:
        return _NOT_READY
    return next((code for kind, code in _CODES if isinstance(error, kind)), 1)
