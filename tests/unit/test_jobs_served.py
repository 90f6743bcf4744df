"""What a worker tells of the task types it has handlers for, and of itself."""

from __future__ import annotations

from hustlex.jobs.lease.heartbeat import ServedTypes, decode_served, encode_served
from hustlex.jobs.lease.vitals import Vitals, bounded, decode_vitals, with_vitals


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


def test_vitals_stand_beside_the_types_and_hide_them_from_nobody() -> None:
    vitals = Vitals("9", 0.25, 1 << 30, 7, 1, {"a": 1.5, 'b"}': 0.2}, {"queue low": "no such key"})
    told = with_vitals(encode_served(["a"], ["mail:"]), vitals)
    assert decode_vitals(told) == vitals
    assert decode_served(told) == ServedTypes(("a",), ("mail:",))
    assert decode_vitals(with_vitals(encode_served([], []), Vitals())) == Vitals()


def test_vitals_of_an_earlier_version_of_go_or_of_nonsense_are_not_known() -> None:
    assert decode_vitals(None) is decode_vitals(encode_served(["a"], [])) is None
    assert decode_vitals(b"\xff") is decode_vitals(b"[1]") is None
    for nonsense in ('"lag":"long"', '"lag":1e999', '"lag":-1', '"memory":-1', '"blocks":{"a":1e10}', '"trouble":[]'):
        assert decode_vitals(b'{"now":{%s}}' % nonsense.encode()) is None, nonsense


def test_vitals_are_short_however_much_is_wrong() -> None:
    blocks, trouble = bounded(
        {"x" * 250 + str(n): float(n) for n in range(99)}, {str(n): "y" * 9_999 for n in range(99)}
    )
    assert list(blocks.values()) == [float(n) for n in range(98, 78, -1)]
    assert len(trouble) == 20 and {len(why) for why in trouble.values()} == {200}


def test_vitals_carry_what_is_no_text() -> None:
    blocks, trouble = bounded({"\ud800": 1.0}, {"queue \udcff": "\udfff"})
    told = with_vitals(encode_served([], []), Vitals(blocks=blocks, trouble=trouble))
    assert decode_vitals(told) == Vitals(blocks=blocks, trouble=trouble)
