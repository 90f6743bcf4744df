"""What running processes say of themselves at their ``/health``, as findings of the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import SplitResult, urlsplit
from urllib.request import urlopen

import msgspec
import typer

from hustlex.diagnostics import DoctorFinding

_PATIENCE_S = 5.0
_MOST_BYTES = 1 << 20


class _Report(msgspec.Struct):
    """What the reports of applications and of workers share."""

    ok: bool
    trouble: dict[str, str]
    degraded: dict[str, str] = {}
    unknown: tuple[str, ...] = ()
    status: str = "active"


def processes(urls: list[str]) -> Iterator[DoctorFinding]:
    """Ask each."""
    for host, url in map(_place, urls):
        yield from _findings(host, url)


def judged(urls: list[str] | None) -> list[str]:
    """The same, once each is an address. Raises BadParameter."""
    for url in urls or []:
        _place(url)
    return urls or []


def _place(url: str) -> tuple[str, str]:
    """Host and port, and the address without an account."""
    parts = _parts(url)
    if parts is None:
        raise typer.BadParameter("--health takes addresses as http://127.0.0.1:8081/health")
    host = parts.netloc.rpartition("@")[2]
    return host, parts._replace(netloc=host).geturl()


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _findings(name: str, url: str) -> Iterator[DoctorFinding]:
    try:
        report = msgspec.json.decode(_answer(url), type=_Report)
    except (OSError, HTTPException, ValueError) as error:
        why = "what it answers is no report" if isinstance(error, ValueError) else "it does not answer"
        yield DoctorFinding("process", name, "fail", why, "is it the address of /health, and does the process live?")
        return
    for part, sentence in report.trouble.items():
        yield DoctorFinding("process", name, "fail", f"{part}: {sentence}", "see its log")
    for room, sentence in report.degraded.items():
        yield DoctorFinding("process", name, "warn", f"{room}: {sentence}", "see its log")
    for task_type in report.unknown:
        yield DoctorFinding("process", name, "warn", f"it has no handler for {task_type}", "deploy one, or delete them")
    if report.ok:
        yield DoctorFinding("process", name, "ok", "works")
    elif not report.trouble:
        yield DoctorFinding("process", name, "fail", f"is not at work ({report.status})", "does it start, or stop?")


def _answer(url: str) -> bytes:
    try:
        with urlopen(url, timeout=_PATIENCE_S) as answer:  # noqa: S310 - http or https, the operator's own
            return bytes(answer.read(_MOST_BYTES))
    except HTTPError as refusal:  # 503 has the report
        with refusal:
            return bytes(refusal.read(_MOST_BYTES))
