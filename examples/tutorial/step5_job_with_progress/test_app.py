from hustlex.testing import drain


async def test_a_statement_tells_how_far_it_is(client, login, service):
    ada, tunde = await login("0803 123 4567"), await login("0803 765 4321")
    for number, amount in enumerate((5000_00, 200_00)):
        await client.post("/payments", json={"amount": amount}, headers={**ada, "Idempotency-Key": f"order-{number}"})
    task_id = (await client.post("/statements", headers=ada)).json()["task_id"]
    await drain(service.app.state.hustlex, service.tasks)

    told = await client.get(f"/statements/{task_id}/events", headers=ada)
    assert 'data: {"fraction":0.5,"text":"payment 1 of 2"}' in told.text
    assert 'data: {"payments":2,"total":520000}' in told.text
    assert (await client.get(f"/statements/{task_id}/events", headers=tunde)).status_code == 404
