import asyncio


async def test_a_payment_that_is_sent_twice_is_made_once(client, login, service):
    ada = await login("0803 123 4567")
    order = {**ada, "Idempotency-Key": "order-1"}
    first = await client.post("/payments", json={"amount": 5000_00}, headers=order)
    again = await client.post("/payments", json={"amount": 5000_00}, headers=order)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotent-replayed"] == "true"
    assert service.store.payments_of("user-1") == [5000_00]


async def test_another_amount_under_the_same_key_is_refused(client, login):
    order = {**await login("0803 123 4567"), "Idempotency-Key": "order-1"}
    await client.post("/payments", json={"amount": 5000_00}, headers=order)
    assert (await client.post("/payments", json={"amount": 1}, headers=order)).status_code == 422


async def test_two_taps_at_the_same_moment_pay_once(client, login, service):
    order = {**await login("0803 123 4567"), "Idempotency-Key": "order-1"}
    taps = [client.post("/payments", json={"amount": 5000_00}, headers=order) for _ in range(2)]
    answers = [answer.status_code for answer in await asyncio.gather(*taps)]
    assert 201 in answers and set(answers) <= {201, 409}  # 409: the first one is still running
    assert service.store.payments_of("user-1") == [5000_00]
