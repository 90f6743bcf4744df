"""Bad input at the doors of tokens, limits, idempotency and events: one sentence, never an error of the interpreter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from hustlex import HustleX, sync
from hustlex.cache import AfterCommit, CacheOptions, Stats
from hustlex.cache.api import Cache, CachedFunction, Caches, Decorator
from hustlex.cache.policy import Options
from hustlex.core.breaker import BreakerOptions
from hustlex.core.keyring import Keyring
from hustlex.events.api import Channel, Events, ReplayChannel
from hustlex.events.presence import Presence
from hustlex.events.subscription import Subscription, Together
from hustlex.idempotency import Idempotency, IdempotencyOptions, Response, Scope, Started
from hustlex.idempotency.webhooks import Provider, hmac_signature
from hustlex.ratelimit import Penalty, Policy, RateLimit, RateLimitOptions, Rulebook, bound, parse_rule, sheet
from hustlex.tokens import Access, KeySet, TokenOptions, Tokens
from tests.conftest import PATIENCE, SECRET, unhurried
from tests.support.blocking import Blocking
from tests.support.sweep import ODD, Sample, complaints

MINUTE = timedelta(minutes=1)
POLICY = Policy("p", 10**6, MINUTE, overridable=True)
WHO = {"policy": POLICY, "identity": "u1", "endpoint": "/x"}
SCOPE = Scope("u1", "POST", "/pay")
REQUEST = {"key": "k", "scope": SCOPE, "body": b"{}", "content_type": "application/json"}
PROVIDER = Provider(name="paystack", verify=lambda _body, _headers: True)


COUNTED = Stats({}, {}, {}, {}, {}, {}, 0, 0)


async def _pay(_: Any) -> Response:
    return Response(200)


NOW = datetime.now(UTC)
ACCESS = Access("u1", "s" * 22, "app", "{u1}." + "j" * 22, NOW, NOW + MINUTE, NOW, (), issued_ms=1)
STARTED = Started("idem:{u1}:x:y", "o", 1, "none", 1000, 60_000)
TOKENS = [
    Sample(
        Tokens.login,
        {"user_id": "u1", "client_id": "app", "device": "d", "amr": ("sms",), "platform": "x", "ip": "1.2.3.4"}
        | {"acr": "a", "scope": "s", "jkt": ""},
    ),
    Sample(Tokens.check, {"access": "junk", "mode": "strict", "jkt": ""}),
    Sample(Tokens.introspect, {"access": "junk"}),
    Sample(Tokens.check_subscription, {"token": "junk", "channel": "orders:42", "mode": "strict"}),
    Sample(Tokens.issue_subscription, {"access": ACCESS, "channel": "orders:42", "ttl": MINUTE, "since": ""}),
    Sample(Tokens.refresh, {"refresh_token": "junk", "client_id": "app", "ip": "1.2.3.4", "jkt": "", "device": "d"}),
    Sample(Tokens.prove, {"proof": "junk", "method": "GET", "url": "https://x/", "access": ""}),
    Sample(Tokens.logout, {"access": "junk", "refresh_token": "junk"}),
    Sample(Tokens.revoke_token, {"token": "junk", "client_id": "app"}),
    Sample(Tokens.revoke_session, {"user_id": "u1", "session_id": "s" * 22}),
    Sample(Tokens.revoke_all, {"user_id": "u1", "except_session": "s" * 22}),
    Sample(Tokens.sessions, {"user_id": "u1", "current": "s" * 22}),
    Sample(Tokens.set_data, {"user_id": "u1", "session_id": "s" * 22, "values": {"a": "b"}}),
    Sample(Tokens.data, {"user_id": "u1", "session_id": "s" * 22}),
    Sample(Tokens.retire_key, {"kid": "unknown"}),
    Sample(Tokens.start, {"timeout": timedelta(milliseconds=10)}),
]
LIMITS = [
    Sample(RateLimit.check, {**WHO, "cost": 1, "tier": "normal"}),
    Sample(RateLimit.peek, {**WHO, "cost": 1, "tier": "normal"}),
    Sample(RateLimit.check_all, {"asked": [(POLICY, "u1", "/x")], "cost": 1, "tier": "normal"}),
    Sample(RateLimit.reset, WHO),
    Sample(RateLimit.set_limit, {**WHO, "limit": 5, "ttl": MINUTE}),
]
IDEMPOTENCY = [
    Sample(Idempotency.begin, {**REQUEST, "over": None, "options": None}),
    Sample(Idempotency.run, {**REQUEST, "execute": _pay, "reconcile": None, "options": None}),
    Sample(Idempotency.complete, {"started": STARTED, "response": Response(200), "options": None}),
    Sample(Idempotency.renew, {"started": STARTED, "point": "charged"}),
    Sample(Idempotency.abandon, {"started": STARTED}),
    Sample(Idempotency.settle, {"started": STARTED, "response": Response(200), "options": None}),
    Sample(Idempotency.begin_event, {"provider": PROVIDER, "event_id": "e"}),
    Sample(Idempotency.settle_event, {"started": STARTED, "handled": True}),
]
PLAIN = [
    Sample(Policy, {"name": "p", "limit": 5, "window": MINUTE, "algorithm": "strict", "cost": 1, "buckets": 5}),
    Sample(Policy, {"name": "p", "limit": 5, "window": MINUTE, "algorithm": "gcra", "burst": 2}),
    Sample(
        Policy,
        {"name": "p", "limit": 5, "window": MINUTE, "count_denied": False, "on_error": "local", "shadow": False}
        | {"reserve": {"a": 0.5}, "penalty": None, "prefetch": None, "local_deny": True, "overridable": False},
    ),
    Sample(Penalty, {"strikes": 3, "per": MINUTE, "ban": MINUTE}),
    Sample(
        RateLimitOptions,
        {"timeout": timedelta(seconds=1), "breaker": BreakerOptions(), "expected_replicas": 1}
        | {"local_deny": True, "remembered": 100, "exempt": frozenset(), "on_decision": None},
    ),
    Sample(CacheOptions, {"timeout": timedelta(seconds=1)}),
    Sample(BreakerOptions, {"failures": 5, "share": 0.5, "calls": 20, "window_s": 10.0, "probe_s": 1.0, "probes": 3}),
    Sample(parse_rule, {"text": "5/minute per user", "name": "p"}),
    Sample(Rulebook, {"source": {"a": "5/minute per ip"}}),
    Sample(bound, {"policy": POLICY, "length": MINUTE}),
    Sample(sheet, {"policy": POLICY}),
    Sample(Scope, {"principal": "u1", "method": "POST", "route": "/x", "target": "/x?y"}),
    Sample(Response, {"status": 200, "body": b"", "headers": (), "whole": True}),
    Sample(Provider, {"name": "p", "verify": PROVIDER.verify, "lease": MINUTE, "ttl": timedelta(days=1)}),
    Sample(hmac_signature, {"header": "x-s", "digest": "sha256", "prefix": ""}, call=lambda _, **o: _signature(**o)),
    Sample(
        IdempotencyOptions,
        {"orphans": "refuse", "lease": MINUTE, "ttl": timedelta(days=1), "max_answer": 10, "headers": frozenset()}
        | {"given_back": frozenset(), "left_open": frozenset(), "replicas": 1, "replica_wait": timedelta(seconds=1)}
        | {"durability": "memory"},
    ),
    Sample(
        TokenOptions,
        {"keys": None, "first_key": 1, "issuer": "a", "audience": "b", "access_ttl": MINUTE, "jitter": 0.05}
        | {"profile": "phone", "refresh_ttl": timedelta(days=1), "idle": timedelta(hours=1), "leeway": MINUTE}
        | {"grace": MINUTE, "on_reuse": "user", "sessions_per_user": 1, "evict_oldest": True, "staleness": MINUTE}
        | {"away": "closed", "durability": "memory", "on_alarm": None},
    ),
    Sample(Stats.load_ms, {"part": 0.5}, call=lambda _, part: COUNTED.load_ms(part)),
    Sample(Keyring, {"root": SECRET, "old": [], "reference": SECRET}),
]


def _signature(header: Any, **options: Any) -> Any:
    return hmac_signature(header, "a good one", **options)


KEPT = [
    Sample(
        ReplayChannel.publish, {"idem": "a", "version": 1, "it": 7}, call=lambda on, **given: on.publish(1, **given)
    ),
    Sample(
        ReplayChannel.publish_many, {"events": [1], "it": 7}, call=lambda on, events, it: on.publish_many(events, it=it)
    ),
    Sample(ReplayChannel.position, {"it": 7}),
    Sample(ReplayChannel.history, {"limit": 5, "since": "e.1", "reverse": False, "it": 7}),
    Sample(ReplayChannel.remove_history, {"it": 7}),
]


THERE = [
    Sample(Presence.enter, {"member": "m1", "user": "u1", "it": 7}),
    Sample(Presence.leave, {"member": "m1", "it": 7}),
    Sample(Presence.members, {"limit": 5, "it": 7}),
    Sample(Presence.count, {"it": 7}),
]


@pytest.fixture(params=["aio", "blocking"])
async def front(request: pytest.FixtureRequest, url: str) -> Any:
    if request.param == "aio":
        async with HustleX(url, timeout=PATIENCE, secret=SECRET, ratelimit=unhurried()) as opened:
            yield opened
    else:
        with sync.HustleX(url, timeout=PATIENCE, secret=SECRET, ratelimit=unhurried()) as blocking:
            yield Blocking(blocking)


@pytest.mark.parametrize(
    ("room", "sample"),
    [
        *(("tokens", sample) for sample in TOKENS),
        *(("ratelimit", sample) for sample in LIMITS),
        *(("idempotency", sample) for sample in IDEMPOTENCY),
    ],
    ids=str,
)
async def test_bad_input_at_a_door_gets_one_sentence(front: Any, room: str, sample: Sample) -> None:
    assert await complaints(sample, getattr(front, room)) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("sample", PLAIN, ids=str)
async def test_a_bad_option_gets_one_sentence(sample: Sample) -> None:
    assert await complaints(sample) == []


async def test_bad_input_of_events_gets_one_sentence(front: Any) -> None:
    given = {"name": "orders:{it}", "event_type": int, "max_payload": 100, "kind": "replay", "size": 5, "ttl": MINUTE}
    declared = Sample(Events.channel, given)
    declared = Sample(declared.target, declared.given, spare={"event_type": set(ODD)})
    assert await complaints(declared, front.events) == []
    said = Sample(Channel.publish, {"it": 7}, call=lambda channel, it: channel.publish(1, it=it))
    assert await complaints(said, front.events.channel("orders:{it}", int)) == []


@pytest.mark.parametrize("sample", KEPT, ids=str)
async def test_bad_input_of_events_with_history_gets_one_sentence(sample: Sample, front: Any) -> None:
    assert await complaints(sample, front.events.channel("orders:{it}", int, kind="replay")) == []


@pytest.mark.parametrize("sample", THERE, ids=str)
async def test_bad_input_of_presence_gets_one_sentence(sample: Sample, front: Any) -> None:
    assert await complaints(sample, front.events.presence("rooms:{it}")) == []


async def test_bad_names_and_members_of_places_get_one_sentence(url: str) -> None:
    async def joined(presence: Any, **given: Any) -> None:
        async with presence.join(**given):
            pass

    async with HustleX(url) as front:
        assert await complaints(Sample(Events.presence, {"name": "rooms:{it}"}), front.events) == []
        sample = Sample(Presence.join, {"member": "m1", "user": "u1", "it": 7}, call=joined)
        assert await complaints(sample, front.events.presence("rooms:{it}")) == []


async def test_bad_input_of_a_subscription_gets_one_sentence() -> None:
    async with HustleX("redis://127.0.0.1:1") as front:
        channel = front.events.channel("orders:{it}", int, kind="replay")
        sample = Sample(ReplayChannel.subscribe, {"since": "e.1", "conflate": len, "it": 7})
        assert await complaints(sample, channel) == []
        resumed = Sample(Subscription.resume, {"position": "e.1"})
        assert await complaints(resumed, channel.subscribe(it=7)) == []
        several = Sample(Together.resume, {"position": "m1.AAAA"})
        assert await complaints(several, Together(channel.subscribe(it=7))) == []


@pytest.mark.parametrize("style", ["aio", "blocking"])
async def test_a_bad_argument_of_a_front_gets_one_sentence(style: str) -> None:
    front: Any = HustleX if style == "aio" else sync.HustleX
    fits: dict[str, Any] = {"prefix": "", "strict_memory": None, "secret": SECRET, "old_secrets": (), "hook": None}
    fits |= {"reference_secret": SECRET, "tokens": None, "ratelimit": None, "idempotency": None}
    fits |= {"durability": {"jobs": "fsync"}, "otp": None, "pins": None, "cache": None}

    def opened(_: Any, **given: Any) -> None:
        made = front("redis://127.0.0.1:1", **given)
        assert made.tokens and made.ratelimit and made.idempotency and made.otp and made.pins and made.cache

    no_secret = {name for name, value in ODD.items() if not value}
    assert await complaints(Sample(front, fits, call=opened, spare={"secret": no_secret})) == []
    level = Sample(front.durable, {"level": "fsync"})
    assert await complaints(level, front("redis://127.0.0.1:1")) == []


async def seven() -> int:
    return 7


async def sevens(keys: list[int]) -> dict[int, int]:
    return dict.fromkeys(keys, 7)


def _invalidate(cache: Any, tag: Any, soft: Any) -> Any:
    return cache.invalidate_tags(tag, soft=soft)


CACHE = [
    Sample(Cache.key, {"key": 7}),
    Sample(Cache.get, {"key": 7, "default": None}),
    Sample(Cache.lookup, {"key": 7}),
    Sample(Cache.get_many, {"keys": [7]}),
    Sample(Cache.set, {"key": 7, "value": 1, "ttl": MINUTE, "tags": ["a"], "version": 1}),
    Sample(Cache.set_many, {"values": {7: 1}, "ttl": MINUTE, "tags": ["a"]}),
    Sample(Cache.delete, {"key": 7}, call=lambda cache, key: cache.delete(key)),
    Sample(Cache.get_or_compute, {"key": 8, "compute": seven, "ttl": MINUTE, "tags": ["a"]}),
    Sample(Cache.get_or_compute_many, {"keys": [8], "compute": sevens, "ttl": MINUTE, "tags": ["a"]}),
    Sample(
        Cache.warm,
        {"keys": [9], "compute": sevens, "ttl": MINUTE, "tags": ["a"], "jitter": 0.5, "batch": 5, "pause": MINUTE},
    ),
    Sample(Cache.delete, {"key": 7, "hold": MINUTE}, call=lambda cache, key, hold: cache.delete(key, hold=hold)),
    Sample(Cache.expire, {"key": 7}, call=lambda cache, key: cache.expire(key)),
    Sample(Cache.invalidate_tags, {"tag": "a", "soft": True}, call=_invalidate),
    Sample(Cache.clear, {"soft": True}),
    Sample(Cache.cached, {"template": "user:x", "ttl": MINUTE, "tags": ["a:b"]}),
]


@pytest.mark.parametrize("sample", CACHE, ids=str)
async def test_bad_input_of_caches_gets_one_sentence(front: Any, sample: Sample) -> None:
    assert await complaints(sample, front.cache("user", int, ttl=MINUTE, timeout=PATIENCE)) == []


async def test_a_bad_declaration_of_a_cache_gets_one_sentence(front: Any) -> None:
    fits: dict[str, Any] = {"name": "user", "value_type": int, "ttl": MINUTE, "negative_ttl": MINUTE, "jitter": 0.1}
    fits |= {"format": "frame", "schema_version": 1, "lease": MINUTE, "wait": MINUTE, "timeout": MINUTE, "bulkhead": 3}
    fits |= {"max_value": 1000, "compress_over": 100, "tags": ["a"], "value_tags": str.split, "clearable": True}
    fits |= {"stale_ttl": MINUTE, "stale_if_error": MINUTE, "cooldown": MINUTE, "early": 1.0}
    fits |= {"soft_timeout": MINUTE, "hard_timeout": MINUTE, "near_entries": 5, "near_bytes": 5, "near_proof": 0.5}
    if isinstance(front, HustleX):
        fits["near"] = MINUTE
    assert set(fits) - {"name", "value_type", "ttl"} | {"near"} == set(Options.__annotations__)
    declared = Sample(Caches.__call__, fits, call=lambda opened, **given: opened.cache(**given))
    tags = Sample(Caches.invalidate_tags, {"tag": "a", "soft": True}, call=lambda it, **o: _invalidate(it.cache, **o))
    entry = Sample(Caches.delete, {"name": "user", "key": 7}, call=lambda it, **given: it.cache.delete(**given))
    session = AsyncSession() if isinstance(front, HustleX) else Session()
    after = Sample(Caches.after, {"session": session}, call=lambda it, session: it.cache.after(session))
    users = front.cache("after", int, ttl=MINUTE, timeout=PATIENCE)
    one = Sample(AfterCommit.delete, {"key": 1}, call=lambda it, key: it.cache.after(session).delete(users, key))
    two = Sample(AfterCommit.invalidate_tags, {"a": "a"}, call=lambda it, a: it.cache.after(session).invalidate_tags(a))
    samples = (declared, tags, entry, after, one, two)
    assert [said for sample in samples for said in await complaints(sample, front)] == []


async def test_what_is_cached_by_a_bad_function_or_key_gets_one_sentence(front: Any) -> None:
    users = front.cache("user", int, ttl=MINUTE, timeout=PATIENCE)
    decorated = Sample(Decorator.__call__, {"function": seven}, call=lambda _, function: users.cached("user")(function))

    @users.cached("user:{it}")
    async def load(it: Any) -> int:
        return 7

    acts = (load, load.key, load.invalidate, load.refresh)
    called = [Sample(CachedFunction.__call__, {"it": 1}, call=lambda _, it, act=act: act(it)) for act in acts]
    samples = [decorated, *called]
    assert [said for sample in samples for said in await complaints(sample)] == []


async def test_bad_input_of_places_gets_one_sentence(front: Any) -> None:
    leases = Policy("held", 10**6, MINUTE, algorithm="leases")

    async def held(limits: Any, **given: Any) -> None:
        async with limits.hold(**given):
            pass

    given = {"policy": leases, "identity": "u1", "endpoint": "/x", "cost": 1, "tier": "normal"}
    place = await front.ratelimit.check(leases, "u1", endpoint="/x")
    samples = [Sample(RateLimit.hold, given, call=held)]
    samples += [Sample(act, {"decision": place}) for act in (RateLimit.heartbeat, RateLimit.release, RateLimit.refund)]
    assert [said for sample in samples for said in await complaints(sample, front.ratelimit)] == []


async def test_bad_keys_get_one_sentence() -> None:
    pem = Keyring(SECRET)
    signing = KeySet.derive(pem, 1).private
    assert signing is not None
    text = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    samples = [
        Sample(KeySet.from_pem, {"signing": text, "verify_only": [text]}, call=lambda _, **o: KeySet.from_pem(**o)),
        Sample(KeySet, {"signing": KeySet.derive(pem, 1), "verify_only": [KeySet.derive(pem, 2)]}),
        Sample(KeySet.derived, {"keyring": pem}, call=lambda _, **o: KeySet.derived(**o)),
        Sample(KeySet.derive, {"keyring": pem, "generation": 2}, call=lambda _, **o: KeySet.derive(**o)),
        Sample(KeySet.find, {"kid": "a"}),
        Sample(KeySet.without, {"kids": ["a"]}),
    ]
    keys = KeySet.derived(pem)
    assert [said for sample in samples for said in await complaints(sample, keys)] == []
