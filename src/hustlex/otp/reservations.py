"""What a message takes of caps, breakers and budgets: a unit in each scope it is in, and how it is written down.

A challenge's record keeps one ticket per message, so that what is given back is exactly what was taken, once: the
record gives its tickets away in the same step in which it is spent, cancelled or reported undelivered.
"""

from __future__ import annotations

import msgspec

from hustlex.core.addresses import network
from hustlex.errors import Misuse
from hustlex.otp.codes import Codes
from hustlex.otp.email import Mailbox
from hustlex.otp.names import Lane
from hustlex.otp.phone import Phone
from hustlex.otp.rules import Cap, Country, OtpOptions
from hustlex.otp.types import Scope

_TAGS = {Scope.COUNTRY: "cc", Scope.BLOCK: "blk", Scope.PREFIX: "pfx", Scope.IP: "ip"}
_TAGS |= {Scope.MAILBOX: "box", Scope.DOMAIN: "dom"}
_SCOPES = {tag: scope for scope, tag in _TAGS.items()}
_UNUSUAL = "?"
_KNOWN = "+"
_COUNTED = 4
_RETURNED = "!"
_NOTHING_SET = Country()


class CapScope(msgspec.Struct, frozen=True):
    """One scope of a message."""

    scope: Scope
    """Which kind."""
    tag: str
    """In the name of its key, as ``cc:NG``."""
    member: str = ""
    """The number's stand-in in its block, else ""."""
    usual: bool = True
    """False for a number in no known range, which has a quarter of the cap."""
    known: bool = False
    """The caller is known, so that only money counts."""


class CapUnit(msgspec.Struct, frozen=True):
    """A unit taken of a place."""

    place: CapScope
    """Where it was taken."""
    at: int
    """When, ms."""
    before: int = 0
    """When the number was there last, ms."""
    probe: int = 0
    """1 when a breaker let it through, 2 when behind a human check."""
    counted: bool = False
    """Its message counts for that breaker."""
    lent: bool = False
    """It counts for wider breakers too, which no ticket says."""


def places(codes: Codes, to: Phone | Mailbox, ip: str | None, lane: Lane) -> list[CapScope]:
    """The scopes of a first message, in the order in which they refuse. A known caller is asked for money alone."""
    if isinstance(to, Mailbox):
        found = [] if lane == "known" else _mail(codes, to)
    else:
        found = _phone(codes, to, lane == "known")
    return [*found, address(codes, ip, to.known)] if ip is not None and lane == "anon" else found


def _phone(codes: Codes, phone: Phone, known: bool) -> list[CapScope]:
    digits, country = phone.number[1:], CapScope(Scope.COUNTRY, f"cc:{phone.country}", usual=phone.known, known=known)
    if known:
        return [country]
    return [
        country,
        CapScope(Scope.BLOCK, f"blk:{codes.hidden(digits[:-3])}", codes.hidden(phone.number)[:8], phone.known),
        CapScope(Scope.PREFIX, f"pfx:{digits[:7]}", usual=phone.known),
    ]


def _mail(codes: Codes, mailbox: Mailbox) -> list[CapScope]:
    return [
        CapScope(Scope.DOMAIN, domain_tag(codes, mailbox)),
        CapScope(Scope.MAILBOX, f"box:{codes.hidden(mailbox.stem())}"),
    ]


def domain_tag(codes: Codes, mailbox: Mailbox) -> str:
    """The tag of a domain's scope."""
    return f"dom:{codes.hidden(mailbox.domain)}"


def guessed(where: str) -> CapScope:
    """The scope in which wrong codes are counted; where: a region, as "NG", or the tag of a domain."""
    return CapScope(Scope.DOMAIN, where) if ":" in where else CapScope(Scope.COUNTRY, f"cc:{where}")


def address(codes: Codes, ip: str, usual: bool = True) -> CapScope:
    """The scope of an address. Raises Misuse for what is no address."""
    try:
        whom = network(ip)
    except ValueError:
        raise Misuse("ip is not an IPv4 or IPv6 address", hint="pass the client's address, or None") from None
    return CapScope(Scope.IP, f"ip:{codes.hidden(str(whom))}", usual=usual)


def taker(codes: Codes, ip: str) -> str:
    """Who takes a place of a phone's lane extra. Wider than an address: its owner has thousands in one network."""
    return f"n:{codes.hidden(str(network(ip, v4=24, v6=32)))}"


def scope_of(tag: str) -> Scope:
    """Which kind of scope a tag names, as ``cc:NG``."""
    return _SCOPES[tag.partition(":")[0]]


def country(found: list[CapScope]) -> str:
    """The region, as "NG"; "" when there is none."""
    return next((place.tag[3:] for place in found if place.scope is Scope.COUNTRY), "")


def cap(options: OtpOptions, place: CapScope) -> Cap:
    """What holds in a place. There are caps."""
    caps = options.caps
    assert caps is not None
    if place.scope is Scope.COUNTRY:
        return settings(options, place).cap
    held: Cap = getattr(caps, place.scope)
    return held


def settings(options: OtpOptions, place: CapScope) -> Country:
    """Price and budget in a place; both 0 where it is no country."""
    if place.scope is not Scope.COUNTRY:
        return _NOTHING_SET
    region, numbers = place.tag[3:], options.numbers
    foreign = numbers.countries is None and region != numbers.region
    return options.countries.get(region, options.elsewhere if foreign else _NOTHING_SET)


def write(taken: list[CapUnit]) -> str:
    """A ticket as text, kept in the challenge's record; "" for none."""
    return ";".join(map(_written, taken))


def read(text: str) -> list[CapUnit]:
    """The units that one ticket, or several joined by ``|``, can still give back."""
    held = [ticket for ticket in text.split("|") if ticket and not ticket.startswith(_RETURNED)]
    return [_unit(part) for ticket in held for part in ticket.split(";")]


def places_of(text: str) -> list[CapScope]:
    """The scopes of a ticket, given back or not, without the address, which the next message may not share."""
    parts = text.removeprefix(_RETURNED).split(";") if text else []
    return [unit.place for unit in map(_unit, parts) if unit.place.scope is not Scope.IP]


def _written(unit: CapUnit) -> str:
    place, kind = unit.place, unit.probe + _COUNTED * unit.counted
    marks = ("" if place.usual else _UNUSUAL) + (_KNOWN if place.known else "")
    return f"{place.tag}{marks}@{unit.at},{unit.before},{kind},{place.member}"


def _unit(text: str) -> CapUnit:
    name, _, rest = text.partition("@")
    at, before, kind, member = rest.split(",")
    tag = name.rstrip(_UNUSUAL + _KNOWN)
    marks, scope = name[len(tag) :], _SCOPES[tag.partition(":")[0]]
    place = CapScope(scope, tag, member, _UNUSUAL not in marks, _KNOWN in marks)
    return CapUnit(place, int(at), int(before), int(kind) % _COUNTED, int(kind) >= _COUNTED)
