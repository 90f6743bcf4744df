"""What a page costs does not depend on what stands in the queues: ``make console-size`` does this with a million."""

from __future__ import annotations

import re

import pytest
import redis

from hustlex.dashboard.routes import match
from tests.support.console_size import BIG, MOST_BYTES, MOST_COMMANDS, fill, measure, noted, opened, pages


@pytest.mark.one_server
async def test_no_page_exceeds_its_budget_with_a_thousand_queues(
    url: str, raw: redis.Redis, pytestconfig: pytest.Config
) -> None:
    """But one on a cluster: an id alone is asked of every queue, and each has a slot of its own."""
    of_each_queue = 1_000 if "cluster" in pytestconfig.getoption("--server") else 0
    fill(raw, 20_000, 1_000)
    async with opened(url) as (hx, counted, client):
        await noted(hx, 1_000)
        for _ in range(5):  # of what home asks once a minute, each look asks one thing
            before = counted.commands
            assert (await client.get("/")).status_code == 200 and counted.commands - before <= MOST_COMMANDS
        for page in await measure(counted, client, await pages(hx), 1):
            assert page.status in (200, 303, 404), page
            most = MOST_COMMANDS + of_each_queue * ("?id=" in page.path)
            assert page.commands <= most and page.size <= MOST_BYTES, page
            found = match(page.path.partition("?")[0])
            if found is not None and found[0].tick_s and page.status == 200 and "?q=" not in page.path:
                assert page.commands / found[0].tick_s <= 5, f"{page} is rendered anew every {found[0].tick_s} s"


async def test_the_footer_says_what_the_page_cost(url: str, raw: redis.Redis) -> None:
    fill(raw, 100, 3)
    async with opened(url) as (_, counted, client):
        for _ in range(5):
            await client.get("/")
        for path in ("/", "/queues", f"/queues/{BIG}", "/tasks", "/audit", "/redis", "/people"):
            before = counted.commands
            said = re.search(r"· (\d+) commands?, \d+ ms ·", (await client.get(path)).text)
            assert said is not None and int(said[1]) == counted.commands - before, path
