"""Settings of the otp room: one policy per purpose, limits per phone, which numbers are served, and what caps hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from hustlex.core import check
from hustlex.core.bounds import options, several, within
from hustlex.core.durability.level import LEVELS, Level
from hustlex.core.telemetry import Hook, Telemetry, told_of
from hustlex.errors import BadOption, ConfigurationError, Misuse
from hustlex.otp.telemetry import OtpEvent, Watch

_PURPOSE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_REGION = re.compile(r"[A-Z]{2}")
_RESERVED = frozenset({"act", "sends", "cool", "fail", "lock", "grant", "dev", "totp"})
_LONGEST_LIFE = timedelta(minutes=10)
_HOUR = timedelta(hours=1)
_SHORTEST = timedelta(milliseconds=1)
_LONGEST_WINDOW = timedelta(days=31)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How codes of one purpose behave."""

    digits: int = 6
    """Length of a code, 6 to 10."""
    ttl: timedelta = timedelta(minutes=5)
    """How long a code can be used, at most 10 minutes."""
    attempts: int = 5
    """Wrong codes until a challenge locks, 1 to 10."""
    sends: int = 3
    """Messages of one challenge, the first and its resends, 1 to 10."""
    cooldowns: tuple[timedelta, ...] = tuple(timedelta(seconds=s) for s in (60, 60, 120, 300))
    """Pauses after the 1st, 2nd, ... send; the last one repeats."""
    active: int = 3
    """Open challenges per phone, 1 to 10; one more voids the oldest (1 under subject binding)."""
    resend: Literal["same", "new"] = "same"
    """With "same" a resend repeats the code while at least 120 s of its life remain; "new" always makes another."""
    binding: Literal["challenge", "subject"] = "challenge"
    """What checks a code: "challenge" ties the code to the request that asked for it; "subject" lets it be checked with
    the phone alone, so anyone who knows the number can use its attempts up."""
    needs_context: bool = False
    """Whether ``issue`` must name what is being approved."""
    sim_age: timedelta = timedelta(0)
    """With a SIM card younger than this (``Risk``), no text message is sent; 0: whatever its age."""
    durability: Level = "memory"
    """What a right code, and its spent grant, waits for: "replica" up to 50 ms until a replica has it, "fsync" and
    "replica_fsync" up to 1.5 s and 2.5 s until it is on the disk; see ``Verified.durable``. For the purposes that move
    money."""

    def __post_init__(self) -> None:
        with options():
            check.one_of("durability", self.durability, LEVELS)
            check.one_of("resend", self.resend, ("same", "new"))
            check.one_of("binding", self.binding, ("challenge", "subject"))
            check.flag("needs_context", self.needs_context)
        within("sim_age", self.sim_age, timedelta(0), check.LONGEST_DURATION)
        within("digits", self.digits, 6, 10)
        for name in ("attempts", "sends", "active"):
            within(name, getattr(self, name), 1, 10)
        within("ttl", self.ttl, _SHORTEST, _LONGEST_LIFE)
        several("cooldowns", self.cooldowns)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one phone may use in each lane, over all purposes and challenges, in a rolling 24 hours."""

    sends: int = 10
    """Messages, 1 to 1000."""
    extra: int = 10
    """Messages where the strangers' lane is used up or locked, one for each network (/24, of IPv6 /32), 0 to 100.
    Behind a human check one more in each hour, whatever the network; 0: neither. Their codes are the longer ones."""
    wrong: int = 15
    """Wrong codes until a lane of the phone is locked; a right code takes its own challenge's back."""
    locks: tuple[timedelta, ...] = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24))
    """Length of the first, second, ... lock; the last repeats, and 24 quiet hours start again at the first."""
    devices: int = 10
    """How many devices of a phone are remembered, the latest ones."""
    device_ttl: timedelta = timedelta(days=180)
    """How long a device is remembered."""

    def __post_init__(self) -> None:
        within("sends", self.sends, 1, 1000)
        within("extra", self.extra, 0, 100)
        within("wrong", self.wrong, 1, 100)
        within("devices", self.devices, 1, 100)
        within("device_ttl", self.device_ttl, _SHORTEST, check.LONGEST_DURATION)
        several("locks", self.locks)


def _regions(name: str, regions: object) -> None:
    """Two-letter codes; of a text that is none nothing is told but that."""
    if not isinstance(regions, Collection) or isinstance(regions, str | bytes | bytearray):
        raise BadOption(f"{name} cannot be {check.shown(regions)}", hint='pass a frozenset, as frozenset({"NG", "GB"})')
    for region in regions:
        if not isinstance(region, str) or not _REGION.fullmatch(region):
            raise BadOption(f"{name}: a region is two capital letters (ISO 3166)", hint='as "NG", "GB" or "US"')


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """Which phone numbers are served. Regions are two-letter codes (ISO 3166), as "NG"."""

    region: str = "NG"
    """How a number without country code is read; ``HustleX(region=...)`` sets it too."""
    countries: frozenset[str] | None = None
    """The only regions served; None: all."""
    accept_possible: bool = False
    """Serve a number of the right length that no range of today's data holds, with a quarter of every cap; a country's
    new ranges show up before the data knows them."""

    def __post_init__(self) -> None:
        _regions("region", [self.region])
        if self.countries is not None:
            _regions("countries", self.countries)
        with options():
            check.flag("accept_possible", self.accept_possible)


class Mailboxes(msgspec.Struct, frozen=True, kw_only=True):
    """Which e-mail addresses are served."""

    domains: frozenset[str] | None = None
    """The only domains served, in small letters, as "example.com"; None: all."""

    def __post_init__(self) -> None:
        if self.domains is None:
            return
        with options():
            check.instance("domains", self.domains, frozenset, set, tuple, list)
            for domain in self.domains:
                if check.text("domains", domain) != domain.lower() or "@" in domain:
                    raise Misuse("domains are names in small letters", hint='as "example.com"')


class Cap(msgspec.Struct, frozen=True):
    """At most ``most`` messages in any ``per``, which is cut in 20 parts; the oldest part counts whole."""

    most: int
    """Messages."""
    per: timedelta
    """The window."""

    def __post_init__(self) -> None:
        within("most", self.most, 1, 10**9)
        within("per", self.per, _SHORTEST, _LONGEST_WINDOW)


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """Messages over all phones, of callers who are not known. A verified code gives its units back: honest users share
    addresses and prefixes by the thousand, and use up nothing."""

    ip: Cap = Cap(100, _HOUR)
    """Messages that callers from one IP address cause."""
    prefix: Cap = Cap(60, timedelta(minutes=10))
    """Messages to the numbers with the same first seven digits."""
    block: Cap = Cap(5, _HOUR)
    """Distinct numbers of a thousand that differ in the last three digits."""
    mailbox: Cap = Cap(10, _HOUR)
    """E-mails to the spellings that are often one mailbox, by capitals, dots and what follows a plus."""
    domain: Cap = Cap(2_000, _HOUR)
    """E-mails to all addresses of one domain."""
    more: int = 100
    """For an address, a prefix or a domain, so many in a hundred of the codes that were verified there are added to its
    cap, so that who wants to use it up must outnumber the honest."""

    def __post_init__(self) -> None:
        within("more", self.more, 0, 10_000)
        with options():
            for name in ("ip", "prefix", "block", "mailbox", "domain"):
                check.instance(name, getattr(self, name), Cap)


class Country(msgspec.Struct, frozen=True, kw_only=True):
    """What one country may use."""

    cap: Cap = Cap(20_000, _HOUR)
    """Messages to the whole country."""
    price: int = 0
    """Price of one message, in minor units of one currency."""
    budget: int = 0
    """Spending per UTC day, in the same units; 0: no end. 50, 80 and 100 % of it are warned about."""
    kept: int = 20
    """The percentage of it that only known callers may spend, so that strangers cannot use up everybody's day."""

    def __post_init__(self) -> None:
        within("price", self.price, 0, 10**9)
        within("budget", self.budget, 0, 10**14)
        within("kept", self.kept, 0, 100)
        with options():
            check.instance("cap", self.cap, Cap)
        if self.budget and not self.price:
            raise ConfigurationError("a budget needs the price of a message", hint="Country(price=..., budget=...)")


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """Slows sending down where codes are not typed, per address, prefix, block, country, mailbox and domain.

    It trips when too few of an hour's messages were verified, and lets ``probes`` messages pass in each ``pause``,
    evenly spread, and as many more behind a human check, until the hour has become better, or (of a prefix, block,
    mailbox or address) enough of them were verified. Known callers pass always; those from an address where codes are
    typed pass all but their address. An address, prefix or mailbox whose codes are not typed counts for the wider
    scopes with a quarter of ``sends`` messages an hour: whoever sends from one place closes that place.
    """

    sends: int = 20
    """Messages in an hour before it judges."""
    percent: int = 25
    """It trips when fewer of a hundred messages were verified."""
    pause: timedelta = timedelta(minutes=30)
    """How long a number of ``probes`` is spread over, 1 s to 31 days."""
    probes: int = 5
    """Messages that pass in each pause, and as many more behind a human check, 1 to 1000."""
    wins: int = 2
    """Verified probes that close it again, when ``percent`` of them were, 1 to ``probes``."""
    settle: timedelta = timedelta(minutes=6)
    """How young a message of a country is not judged yet; a busy country sends 200 within minutes, before they can be
    typed. Whole 3-minute parts, up to a day."""
    country_sends: int = 200
    """As ``sends``, of a country or a domain."""
    country_probes: int = 50
    """As ``probes``, of a country or a domain."""

    def __post_init__(self) -> None:
        within("sends", self.sends, 1, 10**9)
        within("percent", self.percent, 1, 100)
        within("probes", self.probes, 1, 1000)
        within("wins", self.wins, 1, self.probes)
        within("settle", self.settle, timedelta(0), timedelta(days=1))
        within("country_sends", self.country_sends, 1, 10**9)
        within("country_probes", self.country_probes, 1, 10**6)
        within("pause", self.pause, timedelta(seconds=1), _LONGEST_WINDOW)


class Guesses(msgspec.Struct, frozen=True, kw_only=True):
    """Makes strangers' codes longer, per country, where somebody tries out many: they are never repeated then."""

    checks: int = 200
    """Codes tried within ``per`` before it judges."""
    percent: int = 60
    """It trips when more of a hundred tries were wrong."""
    per: timedelta = timedelta(minutes=10)
    """The window in which tries are counted."""
    digits: int = 8
    """Length of the codes from then on, 6 to 10."""
    quiet: timedelta = timedelta(minutes=30)
    """How long it must be quiet until codes are short again."""

    def __post_init__(self) -> None:
        within("checks", self.checks, 1, 10**9)
        within("percent", self.percent, 1, 100)
        within("digits", self.digits, 6, 10)
        within("per", self.per, _SHORTEST, _LONGEST_WINDOW)
        within("quiet", self.quiet, _SHORTEST, _LONGEST_WINDOW)


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """What the application knows of a phone before it sends. sim_swap: age of its SIM card, or since it was ported."""

    sim_swap: timedelta | None = None

    def __post_init__(self) -> None:
        if self.sim_swap is not None:
            check.duration("sim_swap", self.sim_swap)


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        "login": Policy(),
        "register": Policy(),
        "pin_reset": Policy(attempts=3, sim_age=timedelta(days=7)),
        "transaction": Policy(resend="new", needs_context=True, sim_age=timedelta(days=7)),
        "default": Policy(binding="subject"),
    }
)
"""The purposes there are when none are given. ``default`` is the seed layout: one record at ``otp:{<ref>}``."""


class OtpOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of the room."""

    policies: Mapping[str, Policy] = POLICIES
    """One ``Policy`` per purpose."""
    limits: Limits = Limits()
    """What one phone may use, over all purposes."""
    numbers: Numbers = Numbers()
    """Which phones are served."""
    mailboxes: Mailboxes = Mailboxes()
    """Which e-mail addresses are served."""
    caps: Caps | None = Caps()
    """What all phones together may use; None: no caps, breakers and budgets, as for a load test."""
    countries: Mapping[str, Country] = msgspec.field(default_factory=dict)
    """Countries that differ from ``Country()``, by two-letter code."""
    elsewhere: Country = Country(cap=Cap(1_000, _HOUR))
    """Where all countries are open, what holds in each of them but ``numbers.region`` and those of ``countries``."""
    breaker: Breaker = Breaker()
    """When sending slows down, against pumping."""
    guesses: Guesses = Guesses()
    """When codes grow longer, against guessing at many phones."""
    layout: Literal["sealed", "plain"] = "sealed"
    """With "plain" phones stand in clear in key names, challenges and jobs, for a service that must find
    ``otp:{+2348031234567}``; it takes exactly the purpose ``default`` with binding "subject". Whoever sees Redis, its
    slow log or a backup then sees who logs in."""
    watch: Watch | None = None
    """Told of every event; must not block and must not raise."""

    def __post_init__(self) -> None:
        with options():
            self._check_kinds()
        _check_purposes(self.policies)
        served = self.numbers.countries
        unserved = set() if served is None else set(self.countries) - served
        if unserved:
            raise ConfigurationError(
                f"settings for countries that are not served: {', '.join(sorted(unserved))}",
                hint="add them to Numbers.countries",
            )
        if self.layout == "plain" and (
            set(self.policies) != {"default"} or self.policies["default"].binding != "subject"
        ):
            raise ConfigurationError(
                "the plain layout holds one purpose, bound to the phone",
                hint='policies={"default": Policy(binding="subject")}',
            )

    def _check_kinds(self) -> None:
        kinds = {"limits": Limits, "numbers": Numbers, "mailboxes": Mailboxes, "elsewhere": Country, "breaker": Breaker}
        for name, kind in (kinds | {"guesses": Guesses}).items():
            check.instance(name, getattr(self, name), kind)
        for name, kind in (("policies", Policy), ("countries", Country)):
            check.instance(name, getattr(self, name), Mapping)
            for each in getattr(self, name).values():
                check.instance(f"each of {name}", each, kind)
        _regions("countries", self.countries)
        check.one_of("layout", self.layout, ("sealed", "plain"))
        if self.caps is not None:
            check.instance("caps", self.caps, Caps)
        if self.watch is not None:
            check.function("watch", self.watch)


def _check_purposes(policies: Mapping[Any, Policy]) -> None:
    """Every name can stand in a key without meaning another key."""
    for name in policies:
        if not isinstance(name, str) or not _PURPOSE.fullmatch(name) or name in _RESERVED:
            raise BadOption(
                f"{name if isinstance(name, str) and name in _RESERVED else 'this'} cannot name a purpose",
                hint="a-z, 0-9 and _, at most 32; not " + ", ".join(sorted(_RESERVED)),
            )


def in_region(given: OtpOptions | None, region: str | None) -> OtpOptions:
    """These options, or the standard ones, with another default region."""
    chosen = given or OtpOptions()
    if region is None:
        return chosen
    return msgspec.structs.replace(chosen, numbers=msgspec.structs.replace(chosen.numbers, region=region))


def noting(given: OtpOptions, hook: Hook | None) -> OtpOptions:
    """These options; a hook that listens for rooms is told of each event, too."""
    if not isinstance(hook, Telemetry):
        return given
    watch = given.watch

    def both(event: OtpEvent) -> None:
        told_of(hook, event)
        if watch is not None:
            watch(event)

    return msgspec.structs.replace(given, watch=both)
