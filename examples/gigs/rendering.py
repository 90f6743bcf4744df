"""Pages from templates: what they all know, money and times as people read them, and the header fields of a page."""

from __future__ import annotations

import functools
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from examples.gigs.senders import ConsoleSender
from examples.gigs.views import naira
from examples.gigs.visits import Visit

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
CATEGORIES = {
    "repairs": "Repairs",
    "cleaning": "Cleaning",
    "delivery": "Delivery",
    "tutoring": "Tutoring",
    "design": "Design",
    "moving": "Moving",
    "cooking": "Cooking",
    "beauty": "Beauty",
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    # With no-referrer a browser would say of its own forms that they come from nowhere.
    "Referrer-Policy": "same-origin",
}
SAID = {
    "hello": "You are signed in.",
    "bye": "You are signed out.",
    "posted": "Your gig is online. Its price is held until you accept the work.",
    "taken": "The gig is yours. Its owner has been told.",
    "completed": "Work accepted. The money is on its way.",
    "sent": "The money was sent.",
    "resent": "A code is on its way.",
}


def ago(moment: datetime) -> str:
    """How long it is past, roughly."""
    seconds = int((datetime.now(UTC).replace(tzinfo=None) - moment).total_seconds())
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return "just now"


def from_ms(ts: int) -> datetime:
    """The time of a message, as the tables have it."""
    return datetime.fromtimestamp(ts / 1000, UTC).replace(tzinfo=None)


@functools.cache
def _version(name: str) -> str:
    """A file's address, another one when its bytes are others."""
    return f"/static/{name}?v={hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]}"


_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters |= {"naira": naira, "ago": ago, "from_ms": from_ms}
_templates.globals |= {"categories": CATEGORIES, "static": _version}


async def page(visit: Visit, name: str, status: int = 200, *, headers: Any = None, **known: Any) -> HTMLResponse:
    """A template as an answer."""
    if visit.heard is None:
        await visit.listen()
    profile = (await visit.shared.profile(visit.user))[0] if visit.signed_in else None
    said = SAID.get(visit.cookie("said"), "")
    if said:
        visit.put("said", "")
    text = _templates.get_template(name).render(
        me=profile,
        seal=visit.seal,
        said=said,
        path=visit.request.url.path,
        heard=visit.heard,
        outbox=_outbox(visit),
        **known,
    )
    answer = HTMLResponse(text, status, {**_HEADERS, **(headers or {})})
    visit.seen_off(answer)
    return answer


def _outbox(visit: Visit) -> str:
    """Where a developer reads the messages that nobody sends; "" where a gateway sends them."""
    sender = visit.shared.sender
    return str(visit.shared.settings.outbox) if isinstance(sender, ConsoleSender) else ""
