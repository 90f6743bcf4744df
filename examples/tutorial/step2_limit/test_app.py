async def test_the_sixth_request_in_a_minute_is_refused(client, login):
    ada, tunde = await login("0803 123 4567"), await login("0803 765 4321")
    answers = [await client.get("/fee?amount=500000", headers=ada) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 70
    assert (await client.get("/fee?amount=500000", headers=tunde)).json() == {"amount": 5000_00, "fee": 50_00}
