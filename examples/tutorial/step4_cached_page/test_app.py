async def test_the_page_is_computed_once_and_never_old(client, login, service, monkeypatch):
    asked = []
    total = service.store.total
    monkeypatch.setattr(service.store, "total", lambda: asked.append(1) or total())
    pages = [await client.get("/") for _ in range(10)]
    assert {page.text for page in pages} == {pages[0].text}
    assert len(asked) == 1

    order = {**await login("0803 123 4567"), "Idempotency-Key": "order-1"}
    await client.post("/payments", json={"amount": 5000_00}, headers=order)
    assert "5,000.00" in (await client.get("/")).text


async def test_a_browser_that_has_the_page_is_told_so(client):
    etag = (await client.get("/")).headers["etag"]
    assert (await client.get("/", headers={"If-None-Match": etag})).status_code == 304
