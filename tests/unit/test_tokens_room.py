"""Refresh tokens, names, settings and flows: everything of the tokens room that needs no server."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.pretty import pretty_repr

from hustlex.core.keyring import Keyring
from hustlex.core.keys import slot
from hustlex.core.op import Flow, Op
from hustlex.core.reference import user_reference
from hustlex.errors import BadReply, ConfigurationError, Misuse
from hustlex.tokens import (
    Access,
    How,
    LoggedOut,
    LogoutRefused,
    Refreshed,
    RefreshRefused,
    Refusal,
    Rejected,
    Rejection,
    RevokedAll,
    RevokedSession,
    TokenOptions,
    TokenPair,
    TooManySessions,
    flows,
    ops,
)
from hustlex.tokens.dpop import DpopProof
from hustlex.tokens.guard import Guard
from hustlex.tokens.issuer import Genuine, TokenIssuer
from hustlex.tokens.names import UserKeys
from hustlex.tokens.options import policy_of
from hustlex.tokens.refresh_token import Chain, RefreshToken, fingerprint
from hustlex.tokens.revocation_cache import RevocationCache, RevocationEntry
from hustlex.tokens.revocation_log import announce
from hustlex.tokens.revoker import Revoker
from hustlex.tokens.signing import Signing
from tests.support.ids import texts

KEYRING = Keyring(b"a test secret of thirty-two bytes or more")
CHAIN = Chain(KEYRING)
STRANGERS = Keyring(b"another secret of thirty-two bytes, or more")
STRANGER = Chain(STRANGERS)
NOW = 1_767_225_600_000
SID, NONCE, SECRET, SALT = "s" * 22, "n" * 22, bytes(range(32)), bytes(range(16))
FIRST, FOREIGN = (RefreshToken(keyring.kid, "u1", SID, 1, SECRET) for keyring in (KEYRING, STRANGERS))
MINT = TokenIssuer(KEYRING, policy_of(TokenOptions(jitter=0)), None, "app:")
VIEW = RevocationCache(2.0)
REVOKER = Revoker(MINT, VIEW)
SIGNING = Signing(MINT, REVOKER, None, 1)
SIGNING.due_at = float("inf")
ISSUER = flows.SessionFlows(MINT, SIGNING, REVOKER)
ISSUER._fed = True
APP = ops.Refresher("app")


def guard(clock: Callable[[], int] = lambda: NOW) -> Guard:
    return Guard(MINT, RevocationCache(2.0, clock), SIGNING, clock, "closed", lambda: None)


# -- refresh tokens


def test_a_refresh_token_reads_back_as_written() -> None:
    text = CHAIN.write(FIRST)
    seen = CHAIN.read(text)
    assert seen is not None
    assert (seen.version, seen.uref, seen.sid, seen.gen, seen.secret) == (KEYRING.kid, "u1", SID, 1, SECRET)
    assert text.startswith(f"hxr1.{KEYRING.kid}.u1.{SID}.1.")


def test_the_chain_is_pinned_because_a_change_would_end_every_session() -> None:
    # Computed from the written construction with the HKDF and HMAC of the cryptography package.
    assert CHAIN.write(FIRST).rpartition(".")[2] == "Ip3hZaw1ouT-mgouWvRFmw"
    assert (
        CHAIN.successor(FIRST, SALT).secret.hex() == "ac21f1a513aaca73d54d1bd2f20c98e9ac57c775026ccb56add6db546eaf45ed"
    )


@given(st.data())
def test_no_single_changed_character_of_a_refresh_token_survives(data: st.DataObject) -> None:
    text = CHAIN.write(FIRST)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda character: character != text[at]))
    assert CHAIN.read(text[:at] + other + text[at + 1 :]) is None


@given(st.text())
def test_no_text_is_taken_for_a_refresh_token(text: str) -> None:
    assert CHAIN.read(text) is None


def edited(at: int, value: str) -> str:
    parts = CHAIN.write(FIRST).split(".")
    parts[at] = value
    return ".".join(parts)


@pytest.mark.parametrize(
    "text",
    [
        edited(0, "hxr2"), edited(1, "2"), edited(1, "01"), edited(2, "u2"), edited(2, "{u1}"), edited(3, "t" * 22),
        edited(4, "2"), edited(4, "01"), edited(4, "0"), edited(4, "-1"), edited(4, "99999999999"), edited(6, "A" * 22),
        STRANGER.write(FOREIGN), edited(1, STRANGERS.kid),
        CHAIN.write(FIRST) + "\n", CHAIN.write(FIRST)[:-1], CHAIN.write(FIRST) + ".x", "",
    ],
)  # fmt: skip
def test_a_forged_tag_an_edited_part_and_another_users_session_are_malformed_before_redis(text: str) -> None:
    flow = ISSUER.refresh(text, APP, NOW, nonce=NONCE, salt=SALT)
    assert finish(flow) == RefreshRefused(Refusal.MALFORMED)


def test_a_successor_depends_on_secret_salt_place_session_and_key() -> None:
    changed = [
        CHAIN.successor(FIRST, SALT), CHAIN.successor(FIRST, SALT[::-1]), STRANGER.successor(FOREIGN, SALT),
        CHAIN.successor(RefreshToken(KEYRING.kid, "u1", SID, 2, SECRET), SALT),
        CHAIN.successor(RefreshToken(KEYRING.kid, "u1", "t" * 22, 1, SECRET), SALT),
        CHAIN.successor(RefreshToken(KEYRING.kid, "u1", SID, 1, SECRET[::-1]), SALT),
    ]  # fmt: skip
    assert len({token.secret for token in changed}) == len(changed)
    again = CHAIN.successor(FIRST, SALT)
    assert (again.gen, again.secret, again.sid, again.uref) == (2, changed[0].secret, SID, "u1")


# -- names


def test_a_plain_user_id_is_its_own_reference_and_any_other_gets_a_stand_in() -> None:
    assert user_reference("u-1_A", KEYRING) == "u-1_A"
    for user_id in ("a@b.example", "u 1", "u:1", "{u1}", "u1}", "\u00fc", "u" * 41, "\u00a0u"):
        stand_in = user_reference(user_id, KEYRING)
        assert stand_in == KEYRING.reference(user_id) and user_id not in stand_in


def test_nobody_can_take_a_user_id_that_is_anothers_stand_in() -> None:
    stand_in = user_reference("alice@example.com", KEYRING)
    assert user_reference(stand_in, KEYRING) != stand_in


@given(st.lists(texts(60), min_size=2, max_size=2, unique=True))
def test_two_users_never_share_a_reference(users: list[str]) -> None:
    assert user_reference(users[0], KEYRING) != user_reference(users[1], KEYRING)


@pytest.mark.parametrize("user_id", ["", "u" * 256, "\ud800", "\0", "u1\n", " "])
def test_a_user_id_that_cannot_be_one_is_misuse(user_id: str) -> None:
    with pytest.raises(Misuse):
        user_reference(user_id, KEYRING)


def test_keys_are_those_of_the_documentation() -> None:
    names = UserKeys("", "u1")
    assert names.record(SID) == f"session:{{u1}}:{SID}"
    assert names.data(SID) == f"session:{{u1}}:{SID}:d"
    assert names.index == "sessions:{u1}"
    assert names.marker == "jwt:revoked_before:{u1}"
    assert names.blacklist("{u1}.abc") == "jwt:blacklist:{u1}.abc"
    assert UserKeys("app:", "u1").record(SID).startswith("app:session:")


# -- settings


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ""}, {"audience": ""}, {"access_ttl": timedelta(0)}, {"refresh_ttl": timedelta(minutes=1)},
        {"idle": timedelta(0)}, {"idle": timedelta(seconds=-1)}, {"leeway": timedelta(minutes=6)},
        {"leeway": timedelta(seconds=-1)}, {"grace": timedelta(minutes=6)}, {"sessions_per_user": 0},
        {"jitter": 0.6}, {"jitter": -0.1}, {"profile": "x"}, {"away": "open"}, {"on_reuse": "x"}, {"durability": "x"},
        {"staleness": timedelta(milliseconds=999)}, {"first_key": 0}, {"profile": "aal2", "idle": timedelta(hours=1)},
        {"profile": "aal2", "refresh_ttl": timedelta(hours=13)},
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises((Misuse, ConfigurationError)):
        TokenOptions(**changes)


def test_profiles_choose_how_long_a_session_lasts() -> None:
    hour = 3_600_000
    phone, aal2 = policy_of(TokenOptions()), policy_of(TokenOptions(profile="aal2"))
    assert (phone.refresh_ms, phone.idle_ms) == (7 * 24 * hour, 3 * 24 * hour)
    assert (aal2.refresh_ms, aal2.idle_ms) == (12 * hour, hour // 2)
    shorter = policy_of(TokenOptions(profile="aal2", idle=timedelta(minutes=5)))
    assert (shorter.refresh_ms, shorter.idle_ms) == (12 * hour, hour // 12)


def test_no_second_rotation_happens_within_the_grace() -> None:
    for seconds in (0, 1, 30, 300):
        assert (rules := policy_of(TokenOptions(grace=timedelta(seconds=seconds)))).coalesce_ms > rules.grace_ms


@pytest.mark.parametrize(
    ("client", "amr"),
    [("", ()), ("a b", ()), ("a" * 65, ()), ("app", "sms"), ("app", ("SMS",)), ("app", ("a b",)), ("app", ("x",) * 9)],
)
def test_a_login_of_nonsense_is_misuse(client: str, amr: Any) -> None:
    with pytest.raises(Misuse):
        ops.session_request("u1", client, amr=amr)


@pytest.mark.parametrize(
    "field",
    [
        {"jkt": "short"},
        {"scope": "x" * 65},
        {"scope": 'a"b'},
        {"platform": "a b"},
        {"acr": "\n"},
        {"ip": "nowhere"},
    ],
)
def test_a_field_without_its_form_is_misuse(field: dict[str, str]) -> None:
    with pytest.raises(Misuse):
        ops.session_request("u1", "app", **field)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("102.89.23.77", "102.89.23.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:10.1.2.3", "10.1.2.0/24"),
        ("", ""),
    ],
)
def test_only_the_network_of_an_address_is_kept(address: str, network: str) -> None:
    assert ops.session_request("u1", "app", ip=address).network == network


def test_a_device_label_is_cut_because_clients_choose_it() -> None:
    assert ops.session_request("u1", "app", device="\U0001f4f1" * 1000).device == "\U0001f4f1" * 64
    assert ops.session_request("u1", "app", device="bad \ud800").device == "bad ?"
    assert ops.session_request("u1", "app", device="x\r\n@evil #1\x1b[2J\u202e").device == "x  @evil #1 [2J "


# -- flows, fed by hand


def begin(flow: Flow[Any]) -> Op[Any]:
    step = next(flow)
    assert isinstance(step, Op)
    return step


def answer(flow: Flow[Any], step: Op[Any], reply: Any) -> Any:
    with pytest.raises(StopIteration) as stop:
        flow.send(step.decode(reply))
    return stop.value.value


def finish(flow: Flow[Any]) -> Any:
    with pytest.raises(StopIteration) as stop:
        next(flow)
    return stop.value.value


WHO = ops.session_request("u1", "app", device="Pixel", amr=("sms",))


def login() -> TokenPair:
    flow = ISSUER.login(WHO, NOW, sid=SID, nonce=NONCE, secret=SECRET)
    pair = answer(flow, begin(flow), [0, NOW + 7, NOW + 604_800_000, []])
    assert isinstance(pair, TokenPair)
    return pair


PAIR = login()
ROTATED = [
    NOW + 9,
    b"2",
    KEYRING.kid.encode(),
    SALT,
    fingerprint(CHAIN.successor(FIRST, SALT).secret),
    b"u1",
    b"%d" % NOW,
    b"sms pin",
    b"%d" % (NOW + 10**8),
    b"aal1",
    None,
    None,
]


def test_login_signs_with_the_time_the_server_gave() -> None:
    seen = MINT.read(PAIR.access)
    assert isinstance(seen, Genuine)
    claims = seen.claims
    assert (claims.ims, claims.iat, claims.auth_time, claims.sub, claims.sid) == (
        NOW + 7,
        NOW // 1000,
        NOW // 1000,
        "u1",
        SID,
    )
    assert claims.jti == f"{{u1}}.{NONCE}"
    assert claims.amr == ("sms",)


def test_login_at_the_cap_tells_the_limit() -> None:
    flow = ISSUER.login(WHO, NOW, sid=SID, nonce=NONCE, secret=SECRET)
    assert answer(flow, begin(flow), [1]) == TooManySessions(10)


@pytest.mark.parametrize(
    ("reply", "reason", "detail"),
    [
        ([1], Rejection.EXPIRED, ""),
        ([2], Rejection.NOT_YET_VALID, ""),
        ([3], Rejection.REVOKED_TOKEN, ""),
        ([4, b"gone"], Rejection.SESSION_GONE, ""),
        ([4, b"revoke_all"], Rejection.REVOKED_ALL, ""),
        ([4, b"absolute"], Rejection.EXPIRED_ABSOLUTE, ""),
        ([4, b"idle"], Rejection.EXPIRED_IDLE, ""),
        ([4, b"reuse"], Rejection.SESSION_REVOKED, "reuse"),
    ],
)
def test_each_answer_to_a_check(reply: list[Any], reason: Rejection, detail: str) -> None:
    op = guard().begin(PAIR.access, "strict", "")
    assert isinstance(op, Op)
    assert op.decode(reply) == Rejected(reason, detail)


def test_a_stateless_check_asks_nobody() -> None:
    seen = guard().begin(PAIR.access, "stateless", "")
    assert isinstance(seen, Access)
    assert (seen.user_id, seen.session_id, seen.client_id, seen.amr) == ("u1", SID, "app", ("sms",))
    assert seen.expires_at - seen.issued_at == timedelta(seconds=901)
    late = guard(lambda: NOW + 931_000).begin(PAIR.access, "stateless", "")
    assert late == Rejected(Rejection.EXPIRED)


def test_a_strict_check_of_a_forged_token_asks_nobody() -> None:
    assert guard().begin(PAIR.refresh, "strict", "") == Rejected(Rejection.MALFORMED)


@pytest.mark.parametrize(("status", "how"), [(0, How.ROTATED), (1, How.REPLAYED)])
def test_rotated_and_replayed_rebuild_the_successor(status: int, how: How) -> None:
    flow = ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=bytes(16))
    seen = answer(flow, begin(flow), [status, *ROTATED])
    assert isinstance(seen, Refreshed)
    assert (seen.how, seen.pair.refresh) == (how, CHAIN.write(CHAIN.successor(FIRST, SALT)))
    read = MINT.read(seen.pair.access)
    assert isinstance(read, Genuine)
    claims = read.claims
    assert (claims.ims, claims.auth_time, claims.amr) == (NOW + 9, NOW // 1000, ("sms", "pin"))


def test_coalesced_keeps_the_token_shown() -> None:
    second = CHAIN.successor(FIRST, SALT)
    flow = ISSUER.refresh(CHAIN.write(second), APP, NOW, nonce=NONCE, salt=bytes(16))
    seen = answer(flow, begin(flow), [2, *ROTATED])
    assert isinstance(seen, Refreshed)
    assert (seen.how, seen.pair.refresh) == (How.COALESCED, CHAIN.write(second))


@pytest.mark.parametrize("wrong", [{3: bytes(16)}, {4: bytes(32)}], ids=["salt", "hash"])
def test_a_token_the_server_does_not_hold_is_never_handed_out(wrong: dict[int, bytes]) -> None:
    flow = ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=SALT)
    step = begin(flow)
    reply = [wrong.get(at, value) for at, value in enumerate(ROTATED)]
    with pytest.raises(BadReply, match="same secret"):
        flow.send(step.decode([1, *reply]))


@pytest.mark.parametrize(
    ("reply", "refused"),
    [
        ([3, b"gone"], RefreshRefused(Refusal.UNKNOWN)),
        ([3, b"absolute"], RefreshRefused(Refusal.EXPIRED_ABSOLUTE)),
        ([3, b"idle"], RefreshRefused(Refusal.EXPIRED_IDLE)),
        ([3, b"revoke_all"], RefreshRefused(Refusal.REVOKED, "revoke_all")),
        ([3, b"logout"], RefreshRefused(Refusal.REVOKED, "logout")),
        ([6], RefreshRefused(Refusal.UNKNOWN_GENERATION)),
    ],
)
def test_each_refusal_of_a_refresh(reply: list[Any], refused: RefreshRefused) -> None:
    flow = ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=SALT)
    assert answer(flow, begin(flow), reply) == refused


@pytest.mark.parametrize(
    ("why", "reason"),
    [
        (b"reuse", Refusal.REUSE_DETECTED),
        (b"client", Refusal.CLIENT_MISMATCH),
        (b"binding", Refusal.BINDING_MISMATCH),
    ],
)
def test_an_alarm_is_told_to_every_process(why: bytes, reason: Refusal) -> None:
    flow = ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=SALT)
    told = flow.send(begin(flow).decode([4, why, b"u1", None, None, 1]))
    assert isinstance(told, Op) and told.args[2:5] == ("sid", SID, "u1")
    assert finish(flow) == RefreshRefused(reason)


def test_logout_takes_either_token_and_refuses_two_that_disagree() -> None:
    other = CHAIN.write(RefreshToken(KEYRING.kid, "u1", "t" * 22, 1, SECRET))
    cases: list[tuple[str, str | None, str]] = [
        (PAIR.access, None, "tokens.logout"), (PAIR.access, PAIR.refresh, "tokens.logout"),
        (PAIR.access, "junk", "tokens.logout"), ("junk", PAIR.refresh, "tokens.revoke"),
        ("", PAIR.refresh, "tokens.revoke"),
    ]  # fmt: skip
    for access, refresh, name in cases:
        flow = REVOKER.logout(access, refresh, NOW)
        step = begin(flow)
        assert step.name == name
        told = flow.send(step.decode([0, 1, 1]))
        assert isinstance(told, Op) and told.args[2:5] == ("sid", SID, "u1")
        assert finish(flow) == LoggedOut(SID, True)
    assert finish(REVOKER.logout(PAIR.access, other, NOW)) == LogoutRefused(Rejection.MALFORMED)
    assert finish(REVOKER.logout("junk", None, NOW)) == LogoutRefused(Rejection.MALFORMED)
    assert finish(REVOKER.logout("junk", "junk", NOW)) == LogoutRefused(Rejection.MALFORMED)


@pytest.mark.parametrize("sid", ["", "*", "s" * 21, "s" * 23, "s" * 21 + ":", f"{SID}:d", "{x}"])
def test_what_cannot_be_a_session_id_never_becomes_a_key(sid: str) -> None:
    assert finish(REVOKER.session("u1", sid, NOW)) == RevokedSession(False)
    assert finish(flows.set_data(MINT, "u1", sid, {}, NOW)) is False
    assert finish(flows.data(MINT, "u1", sid, NOW)) is None
    flow = REVOKER.everything("u1", sid, NOW)
    step = begin(flow)
    assert step.args[1] == ""
    told = flow.send(step.decode([0, 3, 0, NOW]))
    assert isinstance(told, Op) and told.name == "tokens.announce"
    assert answer(flow, told, [0, 1]) == RevokedAll(3, False)


@pytest.mark.parametrize("values", [{"": "x"}, {"n" * 65: "x"}, {"n": "x" * 1025}, {str(n): "" for n in range(33)}])
def test_session_data_must_be_small(values: dict[str, str]) -> None:
    with pytest.raises(Misuse):
        next(flows.set_data(MINT, "u1", SID, values, NOW))


EVERY_FLOW: list[Callable[[], Flow[Any]]] = [
    lambda: ISSUER.login(WHO, NOW, sid=SID, nonce=NONCE, secret=SECRET),
    lambda: ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=SALT),
    lambda: REVOKER.logout(PAIR.access, None, NOW),
    lambda: REVOKER.session("u1", SID, NOW),
    lambda: REVOKER.everything("u1", SID, NOW),
    lambda: flows.sessions(MINT, "u1", "", NOW),
    lambda: flows.set_data(MINT, "u1", SID, {"a": "b"}, NOW),
    lambda: flows.data(MINT, "u1", SID, NOW),
]


@pytest.mark.parametrize("make", EVERY_FLOW)
def test_what_is_sent_stays_in_one_slot_under_the_prefix_and_holds_no_secret(make: Callable[[], Flow[Any]]) -> None:
    flow = make()
    step = begin(flow)
    flow.close()
    assert {slot(key) for key in step.keys} == {slot("{u1}")}
    assert all(key.startswith("app:") for key in step.keys)
    sent = repr((step.keys, step.args))
    secret_texts = [PAIR.access, PAIR.refresh, PAIR.refresh.split(".")[5], PAIR.refresh.split(".")[6]]
    assert not any(text in sent for text in secret_texts)
    assert SECRET not in step.args
    if step.script is not None:
        assert len(step.args) >= len(step.script.args) - 1 and len(step.keys) >= len(step.script.keys) - 1


def test_what_has_a_slot_of_its_own_stays_in_one_under_the_prefix() -> None:
    proof = DpopProof("k" * 43, "id", "https://x/", NOW)
    notices = [RevocationEntry("sid", SID, 0), RevocationEntry("user", "u1", 0, 5, "")]
    signing = Signing(MINT, REVOKER, None, 1)  # its own: to begin a read makes it due again in a second
    flows_ = [signing.rotate(NOW), signing.retire(signing.infos()[0].kid, NOW), signing.read()]
    steps = [ops.prove(MINT, proof, NOW), announce("app:", notices, NOW, 1), *[begin(flow) for flow in flows_]]
    for step in steps:
        assert len({slot(key) for key in step.keys}) == 1
        assert all(key.startswith("app:") for key in step.keys)
    access = MINT.read(PAIR.access)
    assert isinstance(access, Genuine)
    for op in (ops.check(MINT, access, NOW), ops.forbid(MINT, access, NOW), ops.logout(MINT, access, NOW)):
        assert {slot(key) for key in op.keys} == {slot("{u1}")}


# -- what a person may see


def test_tokens_hide_in_repr_and_are_not_pickled() -> None:
    flow = ISSUER.refresh(PAIR.refresh, APP, NOW, nonce=NONCE, salt=SALT)
    refreshed = answer(flow, begin(flow), [0, *ROTATED])
    for shown in (PAIR, refreshed, [refreshed], FIRST, CHAIN, MINT.keys.signing):
        for text in (repr(shown), str(shown), f"{shown}", pretty_repr(shown)):
            assert "eyJ" not in text and "hxr1" not in text and repr(SECRET) not in text and SECRET.hex() not in text
    for hidden in (PAIR, refreshed):
        with pytest.raises(TypeError):
            pickle.dumps(hidden)
        with pytest.raises(TypeError):
            copy.deepcopy(hidden)


def test_no_result_has_a_truth_value() -> None:
    for result in (
        PAIR,
        Rejected(Rejection.EXPIRED),
        RefreshRefused(Refusal.UNKNOWN),
        LogoutRefused(Rejection.MALFORMED),
    ):
        with pytest.raises(TypeError, match="compare its type"):
            bool(result)
