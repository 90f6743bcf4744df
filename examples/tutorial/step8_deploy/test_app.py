import re
import sys

import pytest

from hustlex.errors import ConfigurationError
from hustlex.testing import drain

HERE = {"Host": "ajo.example"}


async def test_in_production_a_code_leaves_by_the_gateway(gateway, service, client):
    asked = await client.post("/auth/otp/request", json={"phone": "0803 123 4567"}, headers=HERE)
    await drain(service.app.state.hustlex, service.tasks)
    typed = {"challenge": asked.json()["challenge"], "code": re.findall(r"\b\d{6}\b", gateway[-1])[-1]}
    pair = (await client.post("/auth/otp/verify", json=typed, headers=HERE)).json()
    me = await client.get("/me", headers={**HERE, "Authorization": f"Bearer {pair['access_token']}"})
    assert me.json() == {"user_id": "user-1"}


async def test_it_says_how_it_is_and_answers_its_own_host_alone(gateway, client):
    assert (await client.get("/health", headers=HERE)).status_code == 200
    assert (await client.get("/health", headers={"Host": "evil.example"})).status_code == 400


def test_production_without_a_gateway_does_not_start(gateway, service, monkeypatch):
    monkeypatch.delenv("AJO_SMS_GATEWAY")
    del sys.modules["app"]
    with pytest.raises(ConfigurationError, match="console sender"):
        import app  # noqa: F401
