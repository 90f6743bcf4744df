"""What people type, read and judged; and what refuses them, in words and seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException

from examples.gigs.money import NotEnoughMoney
from examples.gigs.rendering import CATEGORIES
from hustlex.problems import refusal
from hustlex.ratelimit import Decision
from hustlex.web import Problem

__all__ = ["NotEnoughMoney", "explained", "own_path", "read_gig", "read_transfer", "too_many", "wait_of", "why"]

MOST_KOBO = 1_000_000_000
_AMOUNT = re.compile(r"(?:₦|NGN)?\s*(\d{1,3}(?:[, ]?\d{3})*)(?:\.(\d{1,2}))?", re.IGNORECASE)
_PHONE = re.compile(r"(?:\+?234|0)([789]\d{9})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PATH = re.compile(r"/(?:[a-z0-9]+(?:/[a-z0-9]+)*)?")


class GigForm(msgspec.Struct, frozen=True):
    """A gig to post."""

    title: str
    category: str
    price_kobo: int


class TransferForm(msgspec.Struct, frozen=True):
    """Money to send."""

    to_phone: str
    amount_kobo: int


def read_gig(fields: Mapping[str, str]) -> tuple[GigForm | None, dict[str, str]]:
    """The gig, or what is wrong with which field."""
    title, category = fields.get("title", "").strip(), fields.get("category", "")
    price, faults = _money(fields.get("price", "")), {}
    if not 3 <= len(title) <= 200 or _CONTROL.search(title):
        faults["title"] = "Say in 3 to 200 characters what is to be done."
    if category not in CATEGORIES:
        faults["category"] = "Choose one of these."
    if price is None:
        faults["price"] = "Write an amount, as 15,000. At most ₦10,000,000."
    return (None if faults else GigForm(title, category, price or 0)), faults


def read_transfer(fields: Mapping[str, str]) -> tuple[TransferForm | None, dict[str, str]]:
    """The transfer, or what is wrong with which field."""
    phone = _PHONE.fullmatch(re.sub(r"[\s()-]", "", fields.get("phone", "")))
    amount, faults = _money(fields.get("amount", "")), {}
    if phone is None:
        faults["phone"] = "Write a Nigerian mobile number, as 0803 123 4567."
    if amount is None:
        faults["amount"] = "Write an amount, as 2,500. At most ₦10,000,000."
    return (None if phone is None or faults else TransferForm(f"+234{phone[1]}", amount or 0)), faults


def _money(text: str) -> int | None:
    """In kobo; None for what is no amount of money that can be moved."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        return None
    kobo = int(re.sub(r"\D", "", found[1])) * 100 + int((found[2] or "0").ljust(2, "0"))
    return kobo if 0 < kobo <= MOST_KOBO else None


def own_path(wanted: str) -> str:
    """Where to go on; only to a page of ours."""
    return wanted if _PATH.fullmatch(wanted) else "/"


# -- refusals


def too_many(decision: Decision) -> Problem:
    """A limit's refusal."""
    return Problem.of(refusal(decision))


def wait_of(error: HTTPException | None) -> int:
    """Seconds until it makes sense to try again; 0 when waiting does not help."""
    text = (error.headers or {}).get("Retry-After", "") if error else ""
    return int(text) if text.isdecimal() else 0


def why(error: Problem) -> str:
    """A refusal in one or two sentences."""
    members = error.body()
    if members.get("errors"):
        return str(members["errors"][0]["detail"])
    if "left" in members:
        left = members["left"]
        tries = "Ask for a new code." if not left else f"{left} {'try' if left == 1 else 'tries'} left."
        return f"{str(error.detail).removesuffix('Ask for a new code.')} {tries}".strip()
    return str(error.detail)


def explained(error: HTTPException) -> dict[str, Any]:
    """Heading, text and waiting time of a page about it."""
    headings = {
        403: "That did not come from here",
        404: "Nothing here",
        409: "That is no longer possible",
        429: "One moment, please",
        503: "We will be right back",
    }
    text = str(error.detail)[:200] if error.status_code < 500 or error.status_code == 503 else ""
    heading = headings.get(error.status_code, "Something went wrong")
    return {"heading": heading, "text": text[:1].upper() + text[1:], "wait": wait_of(error)}
