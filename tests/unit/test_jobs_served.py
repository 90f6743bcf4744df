"""What a worker tells of the task types it has handlers for."""

from __future__ import annotations

from hustlex.jobs.lease.heartbeat import ServedTypes, decode_served, encode_served


def test_what_fits_is_told_and_that_there_is_more() -> None:
    found = decode_served(encode_served((f"t{n:04}" for n in range(600)), ["mail:", "sms:"]))
    assert found is not None and found.more
    assert len(found.types) + len(found.prefixes) == 500 and found.prefixes == ("mail:", "sms:")
    assert found.serves("t0001") is found.serves("mail:welcome") is True
    assert found.serves("t0599") is None
    assert len(encode_served(["x" * 255 for _ in range(9_999)], [])) < 140_000


def test_a_short_list_is_whole() -> None:
    found = decode_served(encode_served(["b", "a"], []))
    assert found == ServedTypes(("a", "b"))
    assert found.serves("a") is True and found.serves("c") is False
    assert decode_served(encode_served([], [])) == ServedTypes()


def test_who_does_not_tell_or_tells_nonsense_is_not_known() -> None:
    assert decode_served(None) is decode_served(b"\xff") is decode_served(b"[1]") is None
