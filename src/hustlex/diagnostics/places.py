"""What only the machine tells: the disk and the memory of a server that runs here, and the end of a certificate."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hustlex.core.link import ServerLink

ROOT = Path("/")
"""Of the file system; tests have another."""
_PATIENCE_S = 2.0
_NAMES = ("redis", "valkey")
_UNLIMITED = 2**60


class LocalFacts(msgspec.Struct, frozen=True):
    """Of a server on this machine; None in a field: it cannot be read."""

    free_bytes: int | None
    """Of the disk that it writes to."""
    memory_limit: int | None
    """Of its container."""
    overcommit: bool | None
    """Whether a fork may promise more memory than there is."""
    huge_pages: bool | None
    """Whether transparent huge pages are on for all."""


def look(link: ServerLink | None, info: Mapping[str, str], directory: str) -> LocalFacts | None:
    """None when the server does not run on this machine, or that cannot be told."""
    process = ROOT / "proc" / info.get("process_id", "-")
    if link is None or not (link.path or loopback(link.host)) or not _read(process / "comm").startswith(_NAMES):
        return None
    policy, pages = (
        _read(ROOT / "proc/sys/vm/overcommit_memory"),
        _read(ROOT / "sys/kernel/mm/transparent_hugepage/enabled"),
    )
    return LocalFacts(
        free_bytes=_free(directory),
        memory_limit=_limit(_read(process / "cgroup")),
        overcommit=policy == "1" if policy else None,
        huge_pages="[always]" in pages if pages else None,
    )


def loopback(host: str) -> bool:
    """Whether it is this machine."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def private(host: str) -> bool:
    """Whether a host is in a network that nobody else reaches, as far as its name or number tells; looks names up."""
    try:
        numbers = {each[4][0] for each in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return False
    return all(ipaddress.ip_address(str(number).partition("%")[0]).is_private for number in numbers)


def certificate_ends(link: ServerLink, host: str, port: int) -> float | None:
    """When the certificate that the server shows ends, as a Unix time; None when it cannot be told."""
    context = link.context()
    if context is None or not link.verified:
        return None
    try:
        with (
            socket.create_connection((host, port), _PATIENCE_S) as raw,
            context.wrap_socket(raw, server_hostname=host) as opened,
        ):
            shown = opened.getpeercert() or {}
            return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
    except (OSError, KeyError, ValueError):
        return None


def days_left(ends: float | None) -> float | None:
    """From now."""
    return None if ends is None else (ends - time.time()) / 86_400


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, ValueError):
        return ""


def _free(directory: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        if directory:
            place = os.statvfs(directory)
            return place.f_bavail * place.f_frsize
    return None


def _limit(groups: str) -> int | None:
    """Of the control group (version 2) that the process is in."""
    group = groups.rpartition("::")[2].strip().lstrip("/")
    text = _read(ROOT / "sys/fs/cgroup" / group / "memory.max")
    return int(text) if text.isdigit() and int(text) < _UNLIMITED else None
