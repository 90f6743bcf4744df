async def test_a_phone_logs_in(client, login):
    assert (await client.get("/me")).status_code == 401
    ada = await login("0803 123 4567")
    assert (await client.get("/me", headers=ada)).json() == {"user_id": "user-1"}


async def test_who_logs_out_is_out(client, login):
    ada = await login("0803 123 4567")
    assert (await client.post("/auth/logout", headers=ada)).status_code == 204
    assert (await client.get("/me", headers=ada)).status_code == 401
