"""Access tokens: what we write others can read, and nothing else than that is read here."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from hustlex.core.keyring import Keyring
from hustlex.errors import ConfigurationError
from hustlex.tokens import KeySet, Rejection
from hustlex.tokens.issuer import Genuine, SessionClaims, TokenIssuer
from hustlex.tokens.jwt import Claims, read, write
from hustlex.tokens.options import TokenOptions, policy_of
from hustlex.tokens.refresh_token import RefreshToken
from hustlex.tokens.signature_cache import SignatureCache

KEYRING = Keyring(b"a test secret of thirty-two bytes or more")
KEYS = KeySet.derived(KEYRING)
NOW_S = 1_767_225_600
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims(**changes: Any) -> dict[str, Any]:
    base = {
        "iss": "hustlex", "sub": "u1", "aud": "hustlex", "exp": NOW_S + 900, "iat": NOW_S, "client_id": "app",
        "jti": "{u1}." + "j" * 22, "sid": "s" * 22, "ims": NOW_S * 1000,
    }  # fmt: skip
    return {name: value for name, value in (base | changes).items() if value is not None}


def forge(payload: dict[str, Any] | bytes, header: dict[str, Any] | bytes | None = None, keys: KeySet = KEYS) -> str:
    """A token really signed by the key, with any header and payload."""
    if header is None:
        header = {"alg": keys.signing.alg, "kid": keys.signing.kid, "typ": "at+jwt"}
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = ".".join(b64(part) for part in parts)
    return f"{text}.{b64(sign(text.encode(), keys))}"


def sign(message: bytes, keys: KeySet = KEYS) -> bytes:
    algorithm = pyjwt.get_algorithm_by_name(keys.signing.alg)
    signature: bytes = algorithm.sign(message, keys.signing.private)
    return signature


def verdict(token: str, keys: KeySet = KEYS) -> Claims | Rejection:
    return read(token, keys, issuer="hustlex", audience="hustlex", longest_life_s=900)


def header(**changes: Any) -> dict[str, Any]:
    base = {"alg": "ES256", "kid": KEYS.signing.kid, "typ": "at+jwt"}
    return {name: value for name, value in (base | changes).items() if value is not None}


def pem(key: Any, *, private: bool = True) -> bytes:
    if private:
        return key.private_bytes(  # type: ignore[no-any-return]
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    return key.public_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


OWN = {
    "ES256": KeySet.from_pem(pem(ec.generate_private_key(ec.SECP256R1()))),
    "EdDSA": KeySet.from_pem(pem(ed25519.Ed25519PrivateKey.generate())),
    "RS256": KeySet.from_pem(pem(rsa.generate_private_key(65537, 2048))),
}


# -- what we write


@pytest.mark.parametrize("keys", [KEYS, *OWN.values()], ids=["derived", *OWN])
def test_another_library_verifies_our_tokens_from_the_jwks_alone(keys: KeySet) -> None:
    token = write(Claims(**claims(amr=("sms",))), keys.signing)
    published = pyjwt.PyJWKSet.from_dict(json.loads(json.dumps(keys.jwks())))
    head = pyjwt.get_unverified_header(token)
    assert head == {"alg": keys.signing.alg, "kid": keys.signing.kid, "typ": "at+jwt"}
    seen = pyjwt.decode(
        token,
        published[head["kid"]],
        audience="hustlex",
        issuer="hustlex",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert seen == claims(amr=["sms"])
    assert isinstance(verdict(token, keys), Claims)


def test_the_jwks_holds_no_private_member() -> None:
    for keys in OWN.values():
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"}.intersection(*[key.keys() for key in keys.jwks()["keys"]])


def test_every_process_with_the_same_secret_derives_the_same_key_and_never_another() -> None:
    assert KeySet.derived(KEYRING).signing.kid == KEYS.signing.kid
    assert KeySet.derived(Keyring(b"another secret of thirty-two bytes, or more")).signing.kid != KEYS.signing.kid


def test_the_derivation_is_pinned_because_a_change_would_void_every_token() -> None:
    # Computed with the HKDF and the key derivation of the cryptography package.
    assert KEYS.signing.kid == "gu_au3b9hs08HyXx"


def test_kid_is_the_rfc_7638_thumbprint() -> None:
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    public = rsa.RSAPublicNumbers(65537, int.from_bytes(unb64(n), "big")).public_key()
    keys = KeySet.from_pem(pem(ec.generate_private_key(ec.SECP256R1())), [pem(public, private=False)])
    assert keys.find("NzbLsXh8uDCcd-6M") is not None


def test_a_verify_only_key_verifies_and_is_published_and_never_signs() -> None:
    old = ec.generate_private_key(ec.SECP256R1())
    before = KeySet.from_pem(pem(old))
    token = write(Claims(**claims()), before.signing)
    after = KeySet.from_pem(pem(ed25519.Ed25519PrivateKey.generate()), [pem(old)])
    assert isinstance(verdict(token, after), Claims)
    assert after.signing.kid != before.signing.kid
    assert {key["kid"] for key in after.jwks()["keys"]} == {before.signing.kid, after.signing.kid}
    kept = after.find(before.signing.kid)
    assert kept is not None and kept.private is None


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"no key", pem(ec.generate_private_key(ec.SECP384R1())), pem(rsa.generate_private_key(65537, 1024)),
        pem(ec.generate_private_key(ec.SECP256R1()).public_key(), private=False),
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
        ),
    ],
    ids=["empty", "text", "P-384", "RSA-1024", "public only", "encrypted"],
)  # fmt: skip
def test_keys_that_cannot_sign_safely_are_refused(bad: bytes) -> None:
    with pytest.raises(ConfigurationError):
        KeySet.from_pem(bad)


def test_keys_hide_in_repr() -> None:
    secret = KEYS.signing.private
    assert secret is not None
    number = secret.private_numbers().private_value  # type: ignore[union-attr]
    assert str(number) not in repr(KEYS.signing) and "private" not in repr(KEYS.signing)


# -- what we refuse


def test_a_plain_token_is_read() -> None:
    seen = verdict(forge(claims()))
    assert isinstance(seen, Claims) and seen.sub == "u1"


def test_an_audience_list_that_names_us_is_read() -> None:
    assert isinstance(verdict(forge(claims(aud=["other", "hustlex"]))), Claims)


PUBLIC_PEM = pem(KEYS.signing.public, private=False)
PUBLIC_DER = KEYS.signing.public.public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)


def hs256(key: bytes, **head: Any) -> str:
    text = f"{b64(json.dumps(header(alg='HS256', **head)).encode())}.{b64(json.dumps(claims()).encode())}"
    return f"{text}.{b64(hmac.digest(key, text.encode(), hashlib.sha256))}"


def unsigned(alg: str) -> str:
    return f"{b64(json.dumps(header(alg=alg)).encode())}.{b64(json.dumps(claims()).encode())}."


STRANGER = KeySet.derived(Keyring(b"a secret that only the attacker knows, long"))


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        # algorithms
        (unsigned("none"), Rejection.MALFORMED),
        (unsigned("none") + "AA", Rejection.BAD_SIGNATURE),
        (unsigned("nOnE") + "AA", Rejection.BAD_SIGNATURE),
        (hs256(PUBLIC_PEM), Rejection.BAD_SIGNATURE),
        (hs256(PUBLIC_DER), Rejection.BAD_SIGNATURE),
        (hs256(b""), Rejection.BAD_SIGNATURE),
        (forge(claims(), header(alg="RS256")), Rejection.BAD_SIGNATURE),
        (forge(claims(), header(alg="ES384")), Rejection.BAD_SIGNATURE),
        (forge(claims(), header(alg=["ES256"])), Rejection.BAD_SIGNATURE),
        (forge(claims(), header(alg=None)), Rejection.BAD_SIGNATURE),
        # keys brought along
        (forge(claims(), header(jwk=STRANGER.jwks()["keys"][0]), STRANGER), Rejection.MALFORMED),
        (forge(claims(), header(jku="https://evil.example/jwks.json"), STRANGER), Rejection.MALFORMED),
        (forge(claims(), header(x5u="https://evil.example/chain"), STRANGER), Rejection.MALFORMED),
        (forge(claims(), header(x5c=["AA=="]), STRANGER), Rejection.MALFORMED),
        (forge(claims(), header(crit=["exp"])), Rejection.MALFORMED),
        (forge(claims(), header(b64=False, crit=["b64"])), Rejection.MALFORMED),
        (forge(claims(), header(), STRANGER), Rejection.BAD_SIGNATURE),
        # key names
        (forge(claims(), header(kid="../../dev/null")), Rejection.MALFORMED),
        (forge(claims(), header(kid="k" * 65)), Rejection.MALFORMED),
        (forge(claims(), header(kid="k" * 10_000)), Rejection.MALFORMED),
        (forge(claims(), header(kid="' OR 1=1")), Rejection.MALFORMED),
        (forge(claims(), header(kid="\x00")), Rejection.MALFORMED),
        (forge(claims(), header(kid=7)), Rejection.MALFORMED),
        (forge(claims(), header(kid=None)), Rejection.MALFORMED),
        (forge(claims(), header(kid=STRANGER.signing.kid), STRANGER), Rejection.UNKNOWN_KID),
        # kinds of token
        (forge(claims(), header(typ="JWT")), Rejection.BAD_TYPE),
        (forge(claims(), header(typ=None)), Rejection.BAD_TYPE),
        (forge(claims(), header(typ="logout+jwt")), Rejection.BAD_TYPE),
        (forge(claims(iss="https://evil.example")), Rejection.BAD_ISSUER),
        (forge(claims(iss="hustlex/")), Rejection.BAD_ISSUER),
        (forge(claims(aud="other")), Rejection.BAD_AUDIENCE),
        (forge(claims(aud=[])), Rejection.BAD_AUDIENCE),
        (forge(claims(aud=["hustlex2", "hust"])), Rejection.BAD_AUDIENCE),
        # claims
        *[(forge(claims(**{name: None})), Rejection.MALFORMED) for name in claims()],
        (forge(claims(exp=NOW_S + 900.5)), Rejection.MALFORMED),
        (forge(claims(exp=float(NOW_S + 900))), Rejection.MALFORMED),
        (forge(claims(exp=str(NOW_S + 900))), Rejection.MALFORMED),
        (forge(claims(exp=True)), Rejection.MALFORMED),
        (forge(claims(exp=NOW_S + 961)), Rejection.MALFORMED),
        (forge(claims(exp=10**30)), Rejection.MALFORMED),
        (forge(claims(exp=NOW_S - 1)), Rejection.MALFORMED),
        (forge(claims(iat=-1, exp=1)), Rejection.MALFORMED),
        (forge(claims(sub=7)), Rejection.MALFORMED),
        (forge(claims(aud={"hustlex": 1})), Rejection.MALFORMED),
        (forge(b'{"sub":"u1",' + json.dumps(claims(sub="u2")).encode()[1:]), Rejection.MALFORMED),
        (forge(claims(), b'{"alg":"none",' + json.dumps(header()).encode()[1:]), Rejection.MALFORMED),
        # shapes
        ("", Rejection.MALFORMED),
        ("..", Rejection.MALFORMED),
        ("a.b", Rejection.MALFORMED),
        ("a.b.c.d", Rejection.MALFORMED),
        (forge(claims()) + "=", Rejection.MALFORMED),
        (forge(claims()) + "\n", Rejection.MALFORMED),
        (" " + forge(claims()), Rejection.MALFORMED),
        (forge(claims(pad="x" * 8192)), Rejection.MALFORMED),
        (forge(claims(), b"[" * 5000), Rejection.MALFORMED),
        (forge(claims(), b'{"a":' * 1100), Rejection.MALFORMED),
        (forge(claims(), b"\xff\xfe{}"), Rejection.MALFORMED),
        (forge(claims(), b"\xef\xbb\xbf" + json.dumps(header()).encode()), Rejection.MALFORMED),
        (forge(claims(), b"null"), Rejection.MALFORMED),
        (forge(b"null"), Rejection.MALFORMED),
        (forge(b"[" * 3000), Rejection.MALFORMED),
        (forge(b"\xff"), Rejection.MALFORMED),
    ],
)  # fmt: skip
def test_forged_and_foreign_tokens_are_rejected(token: str, reason: Rejection) -> None:
    assert verdict(token) is reason


def test_a_life_within_a_minute_of_the_longest_is_read() -> None:
    assert isinstance(verdict(forge(claims(exp=NOW_S + 960))), Claims)


@given(st.data())
def test_no_single_changed_character_survives(data: st.DataObject) -> None:
    token = GENUINE
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~ \n").filter(
            lambda c: c != token[at]
        )
    )
    assert isinstance(verdict(token[:at] + other + token[at + 1 :]), Rejection)


GENUINE = forge(claims())


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert isinstance(verdict(text), Rejection)


# -- the mint


def mint(keys: KeySet | None = None) -> TokenIssuer:
    return TokenIssuer(KEYRING, policy_of(TokenOptions(jitter=0)), keys, "")


def read_claims(it: TokenIssuer, access: str) -> Claims:
    seen = it.read(access)
    assert isinstance(seen, Genuine)
    return seen.claims


def standing(issued_ms: int, ends_ms: int = NOW_S * 1000 + 604_800_000) -> SessionClaims:
    return SessionClaims("u1", "app", issued_ms, ends_ms, issued_ms, ("sms",))


FIRST = RefreshToken(KEYRING.kid, "u1", "s" * 22, 1, bytes(32))


def test_a_pair_expires_at_a_whole_second_never_before_the_promised_life() -> None:
    it = mint()
    pair = it.pair(standing(NOW_S * 1000 + 1), FIRST, "n" * 22)
    seen = read_claims(it, pair.access)
    assert (seen.iat, seen.ims, seen.exp) == (NOW_S, NOW_S * 1000 + 1, NOW_S + 901)
    assert pair.expires_in == timedelta(milliseconds=900_999)


def test_an_access_token_never_outlives_its_session() -> None:
    it = mint()
    seen = read_claims(it, it.pair(standing(NOW_S * 1000, NOW_S * 1000 + 5_000), FIRST, "n" * 22).access)
    assert seen.exp == NOW_S + 5


def test_tokens_made_together_do_not_expire_together() -> None:
    it = TokenIssuer(KEYRING, policy_of(TokenOptions()), None, "")
    lives = {it.pair(standing(NOW_S * 1000), FIRST, b64(bytes([n] * 16))).expires_in for n in range(100)}
    assert len(lives) > 20
    assert timedelta(minutes=15) * 0.95 <= min(lives) and max(lives) <= timedelta(minutes=15)


def test_leeway_holds_for_expiry_and_for_not_before_alike() -> None:
    seen, later = mint().read(forge(claims())), mint().read(forge(claims(nbf=NOW_S + 60)))
    assert isinstance(seen, Genuine) and isinstance(later, Genuine)
    expires = (NOW_S + 900) * 1000
    assert (seen.from_ms, seen.until_ms) == (-30_000, expires + 30_000)
    assert (later.from_ms, later.until_ms) == ((NOW_S + 60) * 1000 - 30_000, expires + 30_000)


@pytest.mark.parametrize("nbf", ["soon", 1.5, True, [], {}])
def test_a_not_before_that_is_no_time_is_malformed(nbf: Any) -> None:
    assert mint().read(forge(claims(nbf=nbf))) is Rejection.MALFORMED


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "u2"}, {"jti": "{u2}." + "j" * 22}, {"jti": "u1." + "j" * 22}, {"jti": "j" * 22}, {"jti": "{u1}.short"},
        {"jti": "{u1}." + "j" * 21 + "}"}, {"jti": "{u1}{u2}." + "j" * 22}, {"sid": "s"}, {"sid": "s" * 21 + ":"},
        {"sub": ""}, {"sub": "u" * 256},
    ],
)  # fmt: skip
def test_a_signed_token_whose_parts_lead_to_different_users_is_malformed(changes: dict[str, str]) -> None:
    assert mint().read(forge(claims(**changes))) is Rejection.MALFORMED


def test_a_verified_token_is_remembered_and_a_changed_one_is_not() -> None:
    it = mint()
    token = forge(claims())
    assert it.read(token) is it.read(token)
    assert it.read(token[:-2]) is Rejection.BAD_SIGNATURE


def test_memory_forgets_what_was_not_asked_for_lately() -> None:
    memory: SignatureCache[int] = SignatureCache(4)
    for n, name in enumerate("abcdefgh"):
        memory.put(name, n)
        assert memory.get("a") == 0 and len(memory) <= 4
    assert memory.get("b") is None and memory.get("h") == 7


def test_what_is_verified_while_its_key_is_retired_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    it, token = mint(), forge(claims())

    def retired_meanwhile(*known: Any, **policy: Any) -> Any:
        found = read(*known, **policy)
        it.trust(it.keys.without({it.keys.signing.kid}))
        return found

    monkeypatch.setattr("hustlex.tokens.jwt.read", retired_meanwhile)
    it.read(token)
    monkeypatch.undo()
    assert it.read(token) is Rejection.UNKNOWN_KID


def test_a_malleated_signature_verifies_too_which_is_why_jti_names_the_token() -> None:
    token = forge(claims())
    signature = unb64(token.rpartition(".")[2])
    s = int.from_bytes(signature[32:], "big")
    twin = f"{token.rpartition('.')[0]}.{b64(signature[:32] + (ORDER - s).to_bytes(32, 'big'))}"
    original, double = verdict(token), verdict(twin)
    assert twin != token
    assert isinstance(original, Claims) and isinstance(double, Claims) and original.jti == double.jti


FAR = [10**12, 10**15, 10**18, 10**30, 2**63, 2**64]


@pytest.mark.parametrize("moment", [*FAR, -(10**15)])
def test_a_time_that_no_date_can_tell_is_malformed(moment: int) -> None:
    for odd in ({"auth_time": moment}, {"iat": moment, "exp": moment + 900, "ims": moment * 1000}):
        assert mint().read(forge(claims(**odd))) is Rejection.MALFORMED
    later = mint().read(forge(claims(nbf=moment)))  # compared alone, never told
    assert not isinstance(later, Rejection)


@pytest.mark.parametrize("ims", [0, -1, (NOW_S + 1) * 1000, NOW_S * 1000 - 1, *FAR])
def test_what_revocations_go_by_is_the_time_of_issue(ims: int) -> None:
    assert mint().read(forge(claims(ims=ims))) is Rejection.MALFORMED
