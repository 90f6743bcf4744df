"""Check every Lua file: its contract, its length, that it is used, and that its keys share one ``{tag}``."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hustlex.core.lua import ContractError, load, parse

SOURCE = Path(__file__).parent.parent / "src"
LONGEST = 60
_KEY_LINE = re.compile(r"^-- (KEYS|TOUCHES) +(.+)$", re.MULTILINE)
_TAG = re.compile(r"\{[^}]*\}")
_TEXT = r"""(?:(?!['"]).)*%[-+ #0-9.]*[sq](?:(?!['"]).)*"""
_CUT = re.compile(rf"""format\(\s*['"]{_TEXT}|['"]{_TEXT}['"]\)?:format""")
"""Text that goes through %s: Lua's formats end it at its first NUL."""
_NAMELESS = re.compile(r"redis\.p?call\([^,)'\"]*[,)]")
"""A call whose command is a variable: the rights of a user (``hustlex doctor --acl``) are read from the names."""
_INCLUDE = re.compile(r"^-- @include ([a-z_]+)$", re.MULTILINE)


def lua_files() -> list[Path]:
    """Every Lua file of the package, in order."""
    return sorted(set(SOURCE.rglob("lua/**/*.lua")))


def place(path: Path) -> tuple[str, str]:
    """What ``load`` is asked for: the package of a Lua file, and its name below the package's ``lua``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    at = parts.index("lua")
    return ".".join(parts[:at]), "/".join(parts[at + 1 :])


def problems(path: Path, used: set[tuple[str, str]], included: set[str]) -> Iterator[str]:
    """One line for each rule that a file breaks."""
    where = path.relative_to(SOURCE).as_posix()
    source = path.read_text("utf-8")
    if len(source.splitlines()) > LONGEST:
        yield f"{where}: {len(source.splitlines())} lines, at most {LONGEST}"
    yield from format_problems(source, where)
    if not is_script(source):
        if path.stem not in included:
            yield f"{where}: a fragment that no script includes"
        if path.parent.name != "lib" and SOURCE.joinpath(*place(path)[0].split("."), "lua", "lib").is_dir():
            yield f"{where}: a fragment; its room keeps them in lua/lib"
        return
    if "lib" in path.parts:
        yield f"{where}: a script in the folder of fragments"
    package, name = place(path)
    if (package, name) not in used:
        yield f'{where}: no module says load("{package}", "{name}")'
    try:
        contract, _ = parse(source, where)
        load(package, name)
    except ContractError as error:
        yield str(error)
        return
    if contract.name.partition(".")[2] != path.stem:
        yield f"{where}: its title says {contract.name}, its file {path.stem}"
    yield from tag_problems(source, where)


def format_problems(source: str, where: str) -> Iterator[str]:
    """No text goes through a format, only numbers: what callers pass may hold a NUL, and would come out shorter. Each
    call names its command."""
    for number, line in enumerate(source.splitlines(), 1):
        if _NAMELESS.search(line.partition("--")[0]):
            yield f"{where}:{number}: name the command inside redis.call(...)"
        if _CUT.search(line.partition("--")[0]):
            yield f"{where}:{number}: text in string.format ends at its first NUL; join it with .."


def is_script(source: str) -> bool:
    """True for a file with a contract; others are fragments for ``@include``."""
    return re.search(r"^-- (EFFECT|REPLY) ", source, re.MULTILINE) is not None


def tag_problems(source: str, where: str) -> Iterator[str]:
    """All key patterns of a script hold the same ``{tag}``; a single key without one sits in one slot anyway.

    ``KEYS record  hash  as in otp.issue`` borrows the pattern of another script, which is checked by itself.
    """
    patterns = [line[2] for line in _KEY_LINE.finditer(source) if " as in " not in line[2]]
    tags = [found[0] if (found := _TAG.search(pattern)) else None for pattern in patterns]
    variadic = any(pattern.split()[0].endswith("...") for pattern in patterns)
    if len(set(tags)) > 1 or (None in tags and (len(tags) > 1 or variadic)):
        yield f"{where}: its keys do not share one {{tag}}: {', '.join(str(tag) for tag in tags)}"


def loads() -> set[tuple[str, str]]:
    """Every ``load("package", "verb")`` in the source, as (package, verb)."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load":
                words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                if len(words) == 2:
                    found.add((str(words[0]), str(words[1])))
    return found


def main() -> int:
    files = lua_files()
    included = {name for path in files for name in _INCLUDE.findall(path.read_text("utf-8"))}
    used = loads()
    found = [line for path in files for line in problems(path, used, included)]
    known = {place(path) for path in files}
    found += [f'load("{package}", "{verb}") names no file' for package, verb in sorted(used - known)]
    print("\n".join(found) or f"lua: {len(files)} files hold their contracts")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
