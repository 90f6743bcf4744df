"""Pages as HTML: one environment of templates, escaped throughout."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.datastructures import URL

from hustlex import __version__
from hustlex.core.redact import What
from hustlex.core.words import duration, percent, size
from hustlex.dashboard import charts, cost, words
from hustlex.dashboard.names import with_query
from hustlex.dashboard.request import PageContent, PageRequest

_LONGEST_ROW = 160
_LONGEST_TEXT = 65_536
_REFRESH = ("15", "60")

# Navigation: title, path, room, the key that follows `g`.
SECTIONS = (
    ("Home", "", "", "h"),
    ("Queues", "queues", "jobs", "q"),
    ("Tasks", "tasks", "jobs", "t"),
    ("Bulk", "bulk", "jobs", "b"),
    ("Errors", "errors", "jobs", "x"),
    ("Workers", "workers", "jobs", "w"),
    ("Cron", "cron", "jobs", "c"),
    ("Workflows", "workflows", "jobs", "f"),
    ("Groups", "groups", "jobs", "g"),
    ("Quarantine", "quarantine", "jobs", "p"),
    ("People", "people", "people", "u"),
    ("Codes", "codes", "people", "o"),
    ("Limits", "limits", "limits", "l"),
    ("Payments", "idempotency", "idempotency", "i"),
    ("Cache", "cache", "cache", "k"),
    ("Events", "events", "events", "e"),
    ("Redis", "redis", "redis", "r"),
    ("Audit", "audit", "audit", "a"),
)


def _assets() -> dict[str, tuple[str, bytes]]:
    """Files that browsers may keep for good, by names that change with their content."""
    kinds = {
        "dashboard.css": "text/css; charset=utf-8",
        "dashboard.js": "text/javascript; charset=utf-8",
        "dashboard.svg": "image/svg+xml",
    }
    found = {}
    for name, kind in kinds.items():
        content = (files("hustlex.dashboard") / "static" / name).read_bytes()
        stem, _, ending = name.partition(".")
        found[f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"] = (kind, content)
    return found


ASSETS = _assets()
STYLE, SCRIPT, ICON = ASSETS


class Again(msgspec.Struct, frozen=True):
    """How a browser without a script sees what changes: it loads the page anew."""

    seconds: str
    """Between two loads; "" = it does not."""
    other: str
    """The address under which it does, or does not."""


def again_of(url: URL) -> Again:
    """As the address says. Other numbers than ours are none: whoever made up a link would make browsers press us."""
    seconds = dict(parse_qsl(url.query)).get("refresh", "")
    if seconds not in _REFRESH:
        return Again("", with_query(f"{url.path}?{url.query}", refresh=_REFRESH[0]))
    return Again(seconds, with_query(f"{url.path}?{url.query}", refresh=""))


class Renderer:
    """Makes HTML of pages. title: of the console, as the name of the application. production: a band says so."""

    def __init__(self, title: str, *, production: bool) -> None:
        self._environment = Environment(
            loader=PackageLoader("hustlex.dashboard"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            {
                "number": words.number,
                "size": size,
                "short": words.short,
                "duration": duration,
                "moment": words.moment,
                "badge": words.badge,
                "visible": words.visible,
                "glyph": words.glyph,
            }
        )
        self._environment.globals.update(
            {
                "title": title,
                "production": production,
                "version": __version__,
                "style": STYLE,
                "script": SCRIPT,
                "icon": ICON,
                "sparkline": charts.sparkline,
                "bars": charts.bars,
                "percent": percent,
            }
        )

    def document(self, page: PageContent, request: PageRequest, **frame: Any) -> str:
        """The whole page."""
        return str(self._template(page).render(self._values(page, request) | frame))

    def main(self, page: PageContent, request: PageRequest, form_token: str) -> str:
        """What stands inside ``<main>``, for pages that are open."""
        template = self._template(page)
        values = template.new_context(self._values(page, request) | {"form_token": form_token})
        return "".join(template.blocks["main"](values))

    def _template(self, page: PageContent) -> Any:
        return self._environment.get_template(f"{page.template}.html")

    def _values(self, page: PageContent, request: PageRequest) -> dict[str, Any]:
        here = request.url(*[part for part in (page.template,) if part])
        return {
            "page": page,
            "request": request,
            "operator": request.operator,
            "url": request.url,
            "here": here,
            "sections": [each for each in SECTIONS if not each[2] or request.operator.sees_room(each[2])],
            "now": datetime.now(UTC),
            "cost": cost.so_far(),
            "excerpt": lambda value, kind="payload", task_type="": excerpt(request, value, kind, task_type),
            "full": lambda value, kind="payload", task_type="": full(request, value, kind, task_type),
            **page.values,
        }


def excerpt(request: PageRequest, value: Any, kind: Any, task_type: str) -> str:
    """One line of a value, as a row shows it."""
    text = " ".join(full(request, value, kind, task_type, indent=None).split())
    return text if len(text) <= _LONGEST_ROW else f"{text[: _LONGEST_ROW - 1]}…"


def full(request: PageRequest, value: Any, kind: Any, task_type: str, *, indent: int | None = 2) -> str:
    """A value as far as a page shows it: without what is hidden, bytes that are no text in hex."""
    parsed = _parsed(value)
    found = request.show(What(kind, parsed, task_type)).value
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, indent=indent, default=str)
    text = words.visible(text)
    left = len(text) - _LONGEST_TEXT
    return text if left <= 0 else f"{text[:_LONGEST_TEXT]}… and {left:,} more characters"


def _parsed(value: Any) -> Any:
    """Bytes as JSON or text; in hex where they are neither."""
    if not isinstance(value, bytes):
        return value
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{len(value):,} bytes that are no text: {value[:2048].hex(' ', 4)}"
    try:
        return json.loads(text)
    except ValueError:
        return text
