"""A Go service that shares the server: it verifies our access tokens and sees what was revoked, by the keys' names."""

from __future__ import annotations

import pytest

from hustlex.core.keyring import Keyring
from hustlex.drivers.aio import Driver
from hustlex.tokens import Refreshed, TokenPair, Tokens
from tests.conftest import SECRET
from tests.interop.support import GoClient, GoError


async def test_a_go_service_verifies_tokens_and_sees_what_was_revoked(go: GoClient, driver: Driver) -> None:
    tokens = Tokens(driver, Keyring(SECRET))
    await tokens.rotate_keys()
    for user, shown in (("u1", "u1"), ("ada@example.com", "ada@example.com")):
        pair = await tokens.login(user)
        assert isinstance(pair, TokenPair)
        keys = await tokens.jwks()
        assert go("access", text=pair.access, json=keys) == {"sub": shown, "forbidden": False, "session": "a"}
        await tokens.revoke_token(pair.access)
        assert go("access", text=pair.access, json=keys) == {"sub": shown, "forbidden": True, "session": "a"}
        renewed = await tokens.refresh(pair.refresh)
        assert isinstance(renewed, Refreshed)
        await tokens.logout(renewed.pair.access)
        assert go("access", text=renewed.pair.access, json=keys) == {"sub": shown, "forbidden": True, "session": "r"}


async def test_a_go_service_refuses_what_the_published_keys_did_not_sign(go: GoClient, driver: Driver) -> None:
    tokens = Tokens(driver, Keyring(SECRET))
    stranger = await Tokens(driver, Keyring(b"another secret of thirty-two bytes, or more")).login("u1")
    assert isinstance(stranger, TokenPair)
    with pytest.raises(GoError, match="no key"):
        go("access", text=stranger.access, json=await tokens.jwks())
