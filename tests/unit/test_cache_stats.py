"""What a process counted of a cache: ratios, load times, and what does not pay."""

from __future__ import annotations

from typing import Any

from hustlex.cache import Stats
from hustlex.cache.counts import Counts
from hustlex.cache.stats import numbers_of, of_numbers


def counted(**tallies: Any) -> Stats:
    empty: dict[str, Any] = {name: {} for name in ("requests", "origin", "fill", "wait", "reject", "near")}
    return Stats(**(empty | {"failures": 0, "invalidations": 0} | tallies))


def test_ratios_are_of_all_reads() -> None:
    stats = counted(requests={"near": 50, "fresh": 20, "early": 4, "stale": 1, "negative": 5, "miss": 15, "bypass": 5})
    assert (stats.hit_ratio, stats.stale_ratio) == (0.8, 0.01)
    assert (counted().hit_ratio, counted().stale_ratio, counted().load_ms()) == (None, None, None)


def test_load_times_are_told_by_their_part() -> None:
    counts = Counts("gig")
    for took_ms in [0] * 50 + [7] * 48 + [600, 99_999]:
        counts.computed(took_ms)
    stats = counts.snapshot()
    assert stats.origin == {"ok": 100}
    assert [stats.load_ms(part) for part in (0.5, 0.51, 0.98, 0.99, 1)] == [1, 10, 10, 1000, 60_000]


def test_a_templates_counts_are_the_caches_too() -> None:
    counts = Counts("gig")
    one, two = counts.of_template("gig:{id}"), counts.of_template("gig:of:{owner}")
    assert counts.of_template("gig:{id}") is one
    one.add("requests", "fresh", 3)
    two.add("requests", "miss")
    two.computed(3)
    two.near = 2
    counts.add("requests", "miss")
    stats = counts.snapshot()
    assert stats.requests == {"fresh": 3, "miss": 2, "near": 2}
    assert {text: each.requests for text, each in stats.templates.items()} == {
        "gig:{id}": {"fresh": 3},
        "gig:of:{owner}": {"miss": 1, "near": 2},
    }
    assert stats.loads == {5: 1}


def test_advice_says_what_does_not_pay() -> None:
    assert counted(requests={"miss": 99}).advice() == []
    assert counted(requests={"fresh": 900, "miss": 100}, loads={50: 100}).advice() == []
    assert "10% of the reads hit" in counted(requests={"fresh": 10, "miss": 90}).advice()[0]
    assert "ever read" in counted(requests={"miss": 500}, fill={"stored": 500}).advice()[0]
    assert "asking Redis" in counted(requests={"fresh": 100}, loads={1: 10}).advice()[0]
    assert "more often than it is read" in counted(requests={"fresh": 100}, invalidations=101).advice()[0]
    said = counted(templates={"gig:{id}": counted(requests={"miss": 100})}, fill={"too_big": 2}, near={"differed": 1})
    assert [each.partition(" ")[0] for each in said.advice()] == ["gig:{id}:", "2", "1"]


def test_numbers_of_a_whole_cache_make_it_again() -> None:
    stats = counted(requests={"fresh": 3}, loads={5: 1, 60_000: 2}, failures=4, invalidations=5, near={"same": 1})
    assert of_numbers(numbers_of(stats)) == stats
    newer = numbers_of(stats) | {"requests": 9, "novel.kind": 1, "loads.junk": 1, "requests.novel": 2}
    assert of_numbers(newer).requests == {"fresh": 3, "novel": 2}
    assert of_numbers(newer).loads == stats.loads


def test_news_are_told_once() -> None:
    counts = Counts("gig")
    counts.of_template("gig:{id}").add("requests", "fresh", 2)
    assert counts.news() == {"requests.fresh": 2}
    assert counts.news() == {}
    counts.add("requests", "fresh")
    counts.computed(3)
    assert counts.news() == {"requests.fresh": 1, "origin.ok": 1, "loads.5": 1}
