"""Refuse a test that sleeps for luck: it is too short on a busy machine and too long on every other.

Wait for what should happen instead (``until``, an event, a queue) or move an injected clock. Not asked about:
``sleep(0)``, which gives others a turn; a pause between two looks in a ``while`` loop; half a minute or more, which
stands for work that never ends and is cancelled; and at most 50 ms inside a function of the test's own, the work of a
handler or a loader. The others stand in ``ALLOWED`` with their reasons.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENDLESS_S, WORK_S = 30, 0.05
ALLOWED = {
    "contract/test_aio_driver.py::test_a_call_sent_at_its_very_deadline_is_not_said_to_be_unsent": "the loop stops",
    "contract/test_cache_tags.py::test_who_asks_after_the_invalidation_of_a_tag_gets_the_new_value": "a wait is silent",
    "contract/test_events_replay.py::test_a_failover_that_lost_messages_begins_a_new_epoch": "a later millisecond",
    "contract/test_failover.py::test_blocked_commands_and_subscriptions_move_with_the_primary": "a connection must age",
    "contract/test_jobs_streams.py::test_items_arrive_at_once": "who listens is silent",
    "contract/test_jobs_streams.py::test_the_end_is_waited_for": "a call that waits has no sign but its silence",
    "contract/test_ratelimit_operations.py::test_a_thread_holds_a_place_too": "the place must outlive its own length",
    "contract/test_ratelimit_operations.py::test_whoever_needs_no_place_never_loses_it": "a beat must have been due",
    "contract/test_tokens_bounded.py::test_nothing_is_ever_accepted_later_than_the_bound": "the bound is one of time",
    "interop/test_asynqmon.py::test_its_buttons_move_what_python_made": "what must not run gives no sign",
    "interop/test_cli.py::test_queue_pause_and_resume_hold_and_release_a_python_worker": "what must not run is silent",
    "interop/test_fleet.py::test_a_pause_stops_both_kinds_within_a_moment": "what must not run gives no sign",
    "interop/test_fleet.py::test_a_worker_that_was_stopped_leaves_its_recovered_task_alone": "the peer's heartbeats",
    "interop/test_workflows.py::test_a_mixed_fleet_runs_the_parts_of_a_fan_in": "what must not run again gives no sign",
    "property/test_cache_race.py::Race": "the race is made of random waits",
    "property/test_cache_race.py::test_threads_keep_the_same_promise": "the race is made of random waits",
    "web/test_caching.py::test_what_is_never_stored": "who waits is silent",
    "worker/test_health.py::test_a_handler_that_blocks_the_loop_is_named": "how long it blocks is what is told",
    "worker/test_health.py::test_a_part_that_hangs_is_started_again": "a pass must have lasted too long",
    "worker/test_health.py::test_a_type_is_one_line_of_the_log_whatever_it_holds": "how long it blocks is what is told",
    "worker/test_health.py::test_the_endpoint_answers_for_the_worker": "how long a task waits is what is told",
    "worker/test_limits.py::Gauge": "the length is the caller's, who measures rates and overlaps",
    "worker/test_limits.py::test_a_dead_workers_permits_come_back_with_its_tasks": "what must not run gives no sign",
    "worker/test_limits.py::test_a_full_queue_is_left_alone": "commands in a second are counted",
    "worker/test_limits.py::test_a_handler_that_will_not_stop_keeps_its_place_here": "what must not run gives no sign",
    "worker/test_limits.py::test_what_must_wait_costs_next_to_nothing": "commands in a second are counted",
    "worker/test_outage.py::test_a_queue_that_cannot_be_leased_from_is_told_and_harms_no_other": "looks are counted",
    "worker/test_outage.py::test_attempts_while_redis_is_away_are_few": "attempts in a second are counted",
    "worker/test_outage.py::test_servers_killed_in_mid_drain_lose_and_repeat_nothing": "so long the server is away",
    "worker/test_policies.py::test_a_suspect_can_be_cancelled_before_its_turn": "the first must end by itself",
    "worker/test_telling.py::test_a_job_is_followed_from_its_enqueueing_to_its_end": "who listens is silent",
    "worker/test_timing.py::test_an_idle_worker_sends_at_most_a_command_a_second": "commands are counted",
    "worker/test_trouble.py::count": "the length is the caller's",
    "worker/test_trouble.py::test_a_server_that_refuses_to_wait_is_not_asked_all_the_time": "looks are counted",
    "worker/test_trouble.py::test_outcomes_wait_for_a_server_that_is_away": "processor time is measured",
    "worker/test_workflow.py::test_what_the_last_acknowledgement_leads_to_is_done_before_the_worker_ends": (
        "a stop is silent"
    ),
    "worker/test_workflow.py::test_workers_killed_again_and_again_continue_every_step_exactly_once": (
        "what must not run again gives no sign"
    ),
}
"""``file::function``: why the time itself is what is tested, or why there is no signal to wait for."""


def sleeps(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The outermost function or class, and the line, of each sleep that could be one for luck."""
    for top in tree.body:
        name = getattr(top, "name", "")
        helper = isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef) and not name.startswith("test_")
        yield from ((name, line) for line in _lines(top, depth=int(helper), polls=False))


def _lines(node: ast.AST, *, depth: int, polls: bool) -> Iterator[int]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        depth, polls = depth + 1, False
    if isinstance(node, ast.Call) and _is_sleep(node) and not polls and not _harmless(node, work=depth > 1):
        yield node.lineno
    for child in ast.iter_child_nodes(node):
        yield from _lines(child, depth=depth, polls=polls or isinstance(node, ast.While))


def _is_sleep(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "sleep"


def _harmless(call: ast.Call, *, work: bool) -> bool:
    length = call.args[0] if call.args else None
    either = [length.body, length.orelse] if isinstance(length, ast.IfExp) else [length]
    seconds = [part.value for part in either if isinstance(part, ast.Constant) and isinstance(part.value, int | float)]
    return len(seconds) == len(either) and all(s == 0 or s >= ENDLESS_S or (work and s <= WORK_S) for s in seconds)


def complaints(root: Path = ROOT) -> list[str]:
    """One line per sleep that is not allowed, and per permission that nothing uses."""
    found: list[str] = []
    used: set[str] = set()
    for path in sorted((root / "tests").rglob("test_*.py")):
        name = path.relative_to(root / "tests").as_posix()
        for function, line in sleeps(ast.parse(path.read_text("utf-8"))):
            used.add(f"{name}::{function}")
            if f"{name}::{function}" not in ALLOWED:
                found.append(f"tests/{name}:{line}: {function} sleeps; wait for a signal, or move a clock")
    return found + [
        f"tools/check_sleeps.py: {place} sleeps no more; take it off the list" for place in ALLOWED.keys() - used
    ]


def main() -> int:
    found = complaints()
    print("\n".join(found) or f"sleeps: {len(ALLOWED)} places have a reason")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
