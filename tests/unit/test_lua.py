"""Contracts of Lua files: each way to break one is refused with the file's name and what is wrong."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from hustlex.core.lua import ContractError, load, parse
from hustlex.core.op import Effect
from tools.check_lua import format_problems, is_script, lua_files, place, tag_problems

GOOD = """\
-- room.spend: take one, in one step.
-- EFFECT once          because it counts down
-- KEYS stock   string  room:{<id>}
--                      a continuation line
-- ARGV now_ms  int     0: the server's clock
-- REPLY {0}            nothing left
-- REPLY {1, left}      taken
-- @include clock
local now = clock(now_ms)
local left = tonumber(redis.call('GET', stock) or 0)
if left < 1 then return {0} end
return {1, redis.call('DECR', stock), now}
"""


def test_a_good_file_gives_its_contract_and_body() -> None:
    contract, body = parse(GOOD, "room/lua/spend.lua")
    assert contract.name == "room.spend"
    assert contract.effect is Effect.ONCE
    assert contract.keys == ("stock",)
    assert contract.args == ("now_ms",)
    assert contract.replies == ("{0}", "{1, left}")
    assert not contract.allow_oom
    assert body.startswith("-- @include clock\nlocal now")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("-- room.spend: take", "-- take", "the first line must read"),
        ("-- room.spend: take", "room.spend: take", "the first line must read"),
        ("-- EFFECT once  ", "-- EFFECT maybe ", "EFFECT read|idempotent|once"),
        ("-- EFFECT once          because it counts down\n", "", "EFFECT read|idempotent|once"),
        ("-- KEYS stock", "-- KEY stock", "neither a field nor a continuation"),
        ("-- KEYS stock", "-- KEYS Stock", "not a lower-case Lua name"),
        ("-- KEYS stock", "-- KEYS 1stock", "not a lower-case Lua name"),
        ("-- ARGV now_ms  int", "-- ARGV ids...  int\n-- ARGV now_ms  int", "only the last name may end in"),
        ("-- ARGV now_ms  int", "-- ARGV unused  int\n-- ARGV now_ms  int", "ARGV unused is declared and never used"),
        ("-- KEYS stock ", "-- KEYS other  string  x\n-- KEYS stock ", "KEYS other is declared and never used"),
        ("redis.call('GET', stock)", "redis.call('GET', KEYS[1], stock)", "the body says KEYS"),
        ("clock(now_ms)", "clock(ARGV[1], now_ms)", "the body says ARGV"),
        ("return {0} end", "return {7} end", "returns status 7"),
        ("-- REPLY {0}  ", "-- REPLY {0}\n-- REPLY {9}  ", "REPLY {9} is declared and never returned"),
        ("-- REPLY {0}  ", "-- REPLY 0  ", "REPLY must start with"),
        ("-- REPLY {0}            nothing left\n-- REPLY {1, left}      taken\n", "", "needs a REPLY line"),
    ],
)
def test_a_broken_contract_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(ContractError) as caught:
        parse(GOOD.replace(old, new, 1), "room/lua/spend.lua")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("room/lua/spend.lua: ")


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ContractError, match="the first line"):
        parse("", "x")


def test_words_in_comments_are_not_code() -> None:
    parse(GOOD.replace("local now", "-- KEYS and ARGV, return {9}\nlocal now"), "x")


def test_a_variadic_tail_may_be_read_by_position() -> None:
    source = GOOD.replace("-- ARGV now_ms  int     0:", "-- ARGV now_ms  int  a\n-- ARGV rest...  text  0:")
    contract, _ = parse(source.replace("clock(now_ms)", "clock(now_ms, ARGV[2])"), "x")
    assert contract.args == ("now_ms", "rest...")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An importable package ``shop`` with an empty ``lua`` folder."""
    (tmp_path / "shop" / "lua").mkdir(parents=True)
    (tmp_path / "shop" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    return tmp_path / "shop" / "lua"


def test_load_binds_names_and_resolves_includes(package: Path) -> None:
    (package / "spend.lua").write_text(GOOD)
    script = load("shop", "spend")
    assert script.text.startswith("local stock, now_ms = KEYS[1], ARGV[1]\n-- The time in ")
    assert "local function clock(" in script.text
    assert "@include" not in script.text
    assert script.sha1 == hashlib.sha1(script.text.encode()).hexdigest()
    assert (script.keys, script.args, script.effect) == (("stock",), ("now_ms",), Effect.ONCE)


def test_a_full_server_flag_is_the_first_line(package: Path) -> None:
    (package / "spend.lua").write_text(GOOD.replace("-- KEYS", "-- ALLOW-OOM it frees memory\n-- KEYS", 1))
    assert load("shop", "spend").text.startswith("#!lua flags=allow-oom\nlocal stock")


def test_an_unknown_include_is_refused(package: Path) -> None:
    (package / "spend.lua").write_text(GOOD.replace("@include clock", "@include no_such"))
    with pytest.raises(ContractError, match="no_such"):
        load("shop", "spend")


def test_too_many_names_are_refused(package: Path) -> None:
    names = [f"a{number}" for number in range(151)]
    lines = "".join(f"-- ARGV {name} int x\n" for name in names)
    body = GOOD.replace("-- ARGV now_ms", lines + "-- ARGV now_ms") + f"\nlocal all = {{{', '.join(names)}}}\n"
    (package / "spend.lua").write_text(body)
    with pytest.raises(ContractError, match="more than 150"):
        load("shop", "spend")


@pytest.mark.parametrize("path", lua_files(), ids=lambda path: "/".join(place(path)))
def test_every_shipped_file_is_a_script_or_a_fragment(path: Path) -> None:
    source = path.read_text("utf-8")
    if is_script(source):
        contract, _ = parse(source, path.name)
        assert contract.name.endswith(f".{path.stem}")


@pytest.mark.parametrize(
    ("patterns", "fits"),
    [
        (["a:{<id>}"], True),
        (["a:plain"], True),
        (["a:{<id>}", "b:{<id>}:x"], True),
        (["a:{<id>}", "b:{<other>}"], False),
        (["a:{<id>}", "b:plain"], False),
        (["a:plain", "b:plain"], False),
    ],
)
def test_keys_of_one_script_share_one_tag(patterns: list[str], fits: bool) -> None:
    source = "\n".join(f"-- KEYS k{number} string {pattern}" for number, pattern in enumerate(patterns))
    assert (list(tag_problems(source, "x")) == []) is fits


@pytest.mark.parametrize(
    "line",
    [
        "redis.call('SET', key, string.format('%.0f|%s', now, uid))",
        'local member = string.format("%s#%d", id, 1)',
        "return ('%-10s'):format(name)",
        "x = string.format( '%q', text)",
    ],
)
def test_no_text_goes_through_a_format_that_ends_at_a_nul(line: str) -> None:
    assert [*format_problems(f"local a = 1\n{line}\n", "x.lua")] == [
        "x.lua:2: text in string.format ends at its first NUL; join it with .."
    ]


@pytest.mark.parametrize(
    "line", ["string.format('%.0f', now)", "string.format('%04.0f-%02.0f', a, b)", "-- string.format('%s', x)", "'%s+'"]
)
def test_numbers_may_be_formatted(line: str) -> None:
    assert not [*format_problems(line, "x.lua")]


def test_a_command_is_named_where_it_is_called() -> None:
    assert [*format_problems("local n = redis.pcall(count, key)", "x.lua")] == [
        "x.lua:1: name the command inside redis.call(...)"
    ]
    assert not [*format_problems("redis.call(first and 'RPUSH' or 'LPUSH', key)", "x.lua")]
