async def test_who_looks_at_the_pot_sees_a_payment(client, login, service):
    assert 'new EventSource("/events")' in (await client.get("/")).text
    async with service.pot_channel(service.app.state.hustlex).subscribe() as events:
        order = {**await login("0803 123 4567"), "Idempotency-Key": "order-1"}
        await client.post("/payments", json={"amount": 5000_00}, headers=order)
        assert (await anext(events)).data == service.PotChanged(5000_00)


async def test_who_comes_later_is_told_the_newest(client, login, service):
    order = {**await login("0803 123 4567"), "Idempotency-Key": "order-1"}
    await client.post("/payments", json={"amount": 5000_00}, headers=order)
    async with service.pot_channel(service.app.state.hustlex).subscribe() as events:
        first = await anext(events)
    assert (first.data, first.snapshot) == (service.PotChanged(5000_00), True)
