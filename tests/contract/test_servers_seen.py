"""What an operator sees of the servers on every topology: at one look, and on the console's page within its budget."""

from __future__ import annotations

import re
from typing import Any

from hustlex.app import HustleX
from hustlex.dashboard import Dashboard, Operator
from tests.conftest import PATIENCE, SECRET
from tests.dashboard.conftest import Person
from tests.support.console_size import MOST_COMMANDS

PHONE = "+2348031234567"


async def test_each_node_is_told_with_what_fills_it_and_who_is_there(hx: Any) -> None:
    await hx.otp.issue(PHONE)
    found = await hx.diagnostics.glance()
    assert found.refused == () and found.nodes == len(found.servers) == len(found.memory) == len(found.clients)
    assert [each.node for each in found.servers] == [each.node for each in found.memory]
    assert "otp" in {room.room for node in found.memory for room in node.rooms}
    assert all(each.connections for each in found.clients) and PHONE[1:] not in repr(found)
    samples, clients = await hx.diagnostics.memory(), await hx.diagnostics.clients()
    names = [each.node for each in found.servers]
    assert [each.node for each in samples] == names == [each.node for each in clients]
    assert len(await hx.diagnostics.servers()) == found.nodes
    brief = await hx.diagnostics.glance(brief=True)
    assert [each.node for each in brief.servers] == names == [each.node for each in brief.memory]
    assert (brief.nodes, brief.refused, brief.clients, brief.slow) == (found.nodes, (), (), ())


async def test_the_page_of_the_servers_keeps_its_budget(url: str) -> None:
    async def who(_: Any) -> Operator:
        return Operator("read", "ada")

    async with HustleX(url, secret=SECRET, timeout=PATIENCE) as front:
        await front.otp.issue(PHONE)
        ada = Person(Dashboard(front, access=who))
        for path in ("/redis", "/redis?show=findings"):
            answer = await ada.open(path)
            cost = re.search(r"· (\d+) commands?,", answer.text)
            assert answer.status_code == 200 and cost is not None and int(cost[1]) <= MOST_COMMANDS, path
        assert "What the doctor finds" in answer.text
        assert "What fills it" in (await ada.open("/redis")).text


async def test_home_tells_what_fills_the_servers_within_its_budget(url: str) -> None:
    async def who(_: Any) -> Operator:
        return Operator("read", "ada")

    async with HustleX(url, secret=SECRET, timeout=PATIENCE) as front:
        await front.otp.issue(PHONE)
        ada = Person(Dashboard(front, access=who))
        for _ in range(6):
            answer = await ada.open("/")
            cost = re.search(r"· (\d+) commands?,", answer.text)
            assert answer.status_code == 200 and cost is not None and int(cost[1]) <= MOST_COMMANDS
        shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))
        assert re.search(r"Memory by room .* otp \d+ .* keys were looked at, ", shown), shown
