async def test_staff_get_a_link_to_the_console_that_works_once(client, login):
    staff, tunde = await login("0803 123 4567"), await login("0803 765 4321")
    assert (await client.post("/console-link", headers=tunde)).status_code == 403
    link = (await client.post("/console-link", headers=staff)).json()["link"]

    place, _, token = link.partition("#")
    here = {"Origin": "http://t"}
    entered = await client.post(place, data={"token": token}, headers=here)
    assert entered.status_code == 303
    await client.post("/statements", headers=staff)
    assert "statement:write" in (await client.get("/ops/tasks?queue=default&state=pending")).text

    client.cookies.clear()
    assert (await client.post(place, data={"token": token}, headers=here)).status_code == 403
    assert (await client.get("/ops/queues")).headers["location"] == "/ops/enter"
