"""Workflows drawn and as a list, groups, and what became of a task."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any

from hustlex.jobs import Job, State, Tasks, current_job, gather
from hustlex.testing import drain
from tests.dashboard.conftest import Person
from tests.support.console_size import MOST_BYTES, MOST_COMMANDS

BOX = re.compile(r"<title>(\d+): ([\w:]+), (\w+), in (\w+)</title>")
FIRST = "/workflows/default/w~3a0"
tasks = Tasks()


@tasks.task("gig:notify", max_retry=3)
async def notify(gig_id: int) -> None:
    """Says whom it asks, and fails."""
    await current_job().log(f"asking +2348031234567 about {gig_id}")
    raise TimeoutError("provider: no answer")


def chart(page: str) -> str:
    """The drawing alone."""
    return page[page.index('<svg class="flow"') : page.index("</svg>")]


async def test_a_workflow_is_drawn_and_told_as_a_list(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.start(gather(Job("a"), Job("b"), then=Job("c")), workflow_id="w")
    await hx.jobs.inspector.archive("default", "w:0")
    ada = person("act")
    await ada.open("/workflows")
    assert f'href="{FIRST}"' in ada.shown
    await ada.open(FIRST)
    boxes = [("0", "a", "archived", "default"), ("1", "b", "pending", "default"), ("2", "c", "waiting", "default")]
    assert BOX.findall(chart(ada.shown)) == boxes
    assert chart(ada.shown).count('class="arrow"') == 2
    rows = re.findall(r'<tr id="step-(\d)".*?</tr>', ada.shown, re.DOTALL)
    assert rows == ["0", "1", "2"]
    last = ada.shown[ada.shown.index('id="step-2"') :]
    assert 'href="#step-0"' in last and 'href="#step-1"' in last
    blamed = ada.shown[ada.shown.index("What holds it up") : ada.shown.index("</section>")]
    assert "0 (a)" in blamed and "archived" in blamed and "1 (b)" not in blamed


async def test_a_step_is_run_and_another_cancelled_where_they_stand(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.start(Job("a").then(Job("b")), workflow_id="w")
    await hx.jobs.inspector.archive("default", "w:0")
    ada = person("act")
    await ada.open(FIRST)
    await ada.press("run", queue="default", task="w:0", back=FIRST)
    assert BOX.findall(chart(ada.shown))[0][2] == "pending"
    await ada.press("cancel", queue="default", task="w:1", back=FIRST)
    assert [box[2] for box in BOX.findall(chart(ada.shown))] == ["pending", "never"]
    assert "It is cancelled." in ada.shown


async def test_a_task_that_is_a_step_leads_to_its_workflow(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.start(Job("a").then(Job("b")), workflow_id="w")
    await hx.jobs.enqueue("a", task_id="order:7")
    ada = person("read")
    await ada.open("/tasks/default/w~3a1")
    assert 'href="/workflows/default/w~3a1"' in ada.shown
    assert (await ada.open("/workflows/default/w~3a1")).status_code == 200
    for path in ("/workflows/default/order~3a7", "/workflows/default/w", "/workflows/low/w~3a0"):
        assert (await ada.open(path)).status_code == 404, path


async def test_steps_in_queues_of_others_are_neither_drawn_nor_told(hx: Any, person: Callable[..., Person]) -> None:
    steps = [Job(name, b"", {"queue": queue}) for name, queue in (("a", "gigs"), ("b", "wallets"), ("c", "gigs"))]
    await hx.jobs.start(steps[0].then(steps[1]).then(steps[2]), workflow_id="w")
    ada = person("act", queues=("gig*",))
    for step in ("w~3a0", "w~3a2"):
        await ada.open(f"/workflows/gigs/{step}")
        assert [box[0] for box in BOX.findall(chart(ada.shown))] == ["0", "2"]
        assert "wallets" not in ada.shown and 'class="arrow"' not in ada.shown
    assert (await ada.open("/workflows/wallets/w~3a1")).status_code == 404


async def test_the_page_of_a_long_or_wide_workflow_stays_small(hx: Any, person: Callable[..., Person]) -> None:
    chain = Job("step:0", b"", {"queue": "q0"})
    for n in range(1, 203):
        chain = chain.then(Job(f"step:{n}", b"", {"queue": f"q{n % 2}"}))
    await hx.jobs.start(chain, workflow_id="long")
    await hx.jobs.start(gather(*[Job(f"part:{n}") for n in range(199)], then=Job("all")), workflow_id="w")
    ada = person("act")
    for path, seen in (("/workflows/q0/long~3a0", 200), (FIRST, 200), ("/workflows/q0/long~3a202", 3)):
        answer = await ada.open(path)
        assert len(BOX.findall(chart(ada.shown))) == seen, path
        commands = re.search(r"· (\d+) commands?,", ada.shown)
        assert commands is not None and int(commands[1]) <= min(4, MOST_COMMANDS), path
        assert len(answer.content) <= MOST_BYTES, (path, len(answer.content))
    assert 'href="/workflows/q1/long~3a199"' in ada.shown


async def test_groups_are_listed_and_acted_on(hx: Any, person: Callable[..., Person]) -> None:
    for n in range(3):
        await hx.jobs.enqueue("sms:send", {"n": n}, queue="low", group="lagos")
    await hx.jobs.enqueue("sms:send", queue="low", group="+2348031234567")
    ada = person("act")
    await ada.open("/groups")
    assert "lagos" in ada.shown and "2 of 2" in ada.shown and "No living worker takes tasks" in ada.shown
    assert "•••••67" in re.sub(r'value="[^"]*"', "", ada.shown)
    wanted = {"queue": "low", "state": "aggregating", "group": "lagos", "back": "/groups"}
    await ada.post("/confirm", verb="run_all", **wanted)
    assert "Type <code>low</code>" in ada.shown and "lagos" in ada.shown
    await ada.press("run_all", typed="low", **wanted)
    assert "3 are pending now" in ada.shown and "1 of 1" in ada.shown
    await ada.press("delete_all", typed="low", **wanted | {"group": "+2348031234567"})
    assert "1 are deleted" in ada.shown and "Nothing waits to become a batch" in ada.shown
    await ada.open("/audit")
    assert "group=lagos" in ada.shown and "8031234567" not in ada.shown


async def test_groups_of_other_queues_do_not_exist(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("t", queue="wallets", group="secretgroup")
    ada = person("act", queues=("gig*",))
    for path in ("/groups", "/groups?queue=wallets"):
        await ada.open(path)
        assert "Nothing waits" in ada.shown and "secretgroup" not in ada.shown
    answer = await ada.post("/confirm", verb="run_all", queue="wallets", state="aggregating", group="secretgroup")
    assert answer.status_code == 404


async def test_what_became_of_a_task_is_told_in_order(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue(notify.job(7), task_id="t1")
    ada = person("read")
    await ada.open("/tasks/default/t1")
    assert "could start from here on" in ada.shown and "Waits for" in ada.shown
    await drain(hx, tasks)
    assert (await hx.jobs.inspector.task("default", "t1")).state is State.RETRY
    await ada.open("/tasks/default/t1")
    line = unescape(re.sub(r"<[^>]+>", " ", ada.shown[ada.shown.index('<ol class="line">') : ada.shown.index("</ol>")]))
    places = [line.index(words) for words in ("asking", "provider: no answer", "next start")]
    assert places == sorted(places) and "8031234567" not in ada.shown


async def test_a_task_page_names_the_same_commands(hx: Any, person: Callable[..., Person]) -> None:
    await hx.jobs.enqueue("gig:notify", {"note": "it's 7"}, task_id="-t 1", queue="low")
    await hx.jobs.enqueue("gig:notify", {"pin": "4821"}, task_id="t2", queue="low")
    ada = person("read")
    await ada.open("/tasks/low/-t~201")
    commands = unescape(ada.shown)
    assert "hustlex task explain --queue low -- '-t 1'\n" in commands
    assert """hustlex task enqueue --queue low gig:notify '{"note": "it'"'"'s 7"}'\n""" in commands
    await ada.open("/tasks/low/t2")
    assert "hustlex task show --queue low t2\n" in ada.shown and "hustlex task enqueue" not in ada.shown
