"""The page of all commands: what each does, takes and answers, from the very functions that run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from hustlex.cli.exits import EXIT_CODES
from hustlex.cli.main import cli

_SCHEMAS = Path(__file__).parent.parent / "docs" / "reference" / "schemas.json"
"""What the examples answered; written by ``python -m tests.cli.schemas``, held by tests/cli."""
_EXAMPLE = re.compile(r"Example: (.*)$", re.MULTILINE)
ABOUT = """\
`hustlex NOUN VERB`; each noun has its plural as well. Settings come from `HUSTLEX_*` variables and a `.env` file; an
option goes before its variable. `-` reads a phone, a user's id or JSON from standard input, which no shell keeps. What
payloads, errors, logs and events hold is shown without what looks like a secret, a phone, an address or a card, unless
`--reveal` is given. What cannot be undone is asked about; `--yes` answers, and without a terminal it must be given.
Tables are cut to the terminal, and whole in a pipe; progress goes to standard error.

`--json` prints one object (`follow` and `tail` one a line) with `schema`, as `hustlex.queue.list/1`, and `as_of`. Times
are RFC 3339 in UTC, durations end in `_ms`, what is unknown is `null`. A field that is added keeps the number, one that
is renamed or taken away raises it. Without `--json` the text may change at any time.

Nonsense is one sentence on standard error. A command's own help names the codes that mean more than here."""


def commands() -> str:
    """Sections by noun."""
    root: Any = get_command(cli)
    found = list(walk(root, "hustlex"))
    rows = [f"| {code} | {text} |" for code, text in EXIT_CODES.items()]
    codes = "\n".join(["| exit code | means |", "| --- | --- |", *rows])
    index = ", ".join(f"[{path}](#{path.replace(' ', '-')})" for path, _ in found)
    return "\n\n".join([ABOUT, codes, index, *(_section(path, command) for path, command in found)])


def walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, with what is typed for it; nouns by themselves and hidden ones left out."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, each in below.items():
        if not each.hidden:
            yield from walk(each, f"{path} {name}")


def example(command: Any) -> str:
    """What its help shows."""
    found = _EXAMPLE.search(command.help or "")
    return found[1] if found else ""


def _answers(path: str) -> str:
    """The fields of its JSON, but for those below lists that its example leaves empty."""
    kept = json.loads(_SCHEMAS.read_text("utf-8"))
    if path not in kept["of"]:
        return ""
    schema = kept["of"][path]
    names = [name for name in kept["fields"][schema] if name not in ("schema", "as_of")]
    return f"\n\n`--json`: `{schema}` with {', '.join(f'`{name}`' for name in names)}"


def _section(path: str, command: Any) -> str:
    shown = [each for each in command.params if not each.hidden and each.name != "help"]
    told = " ".join(_EXAMPLE.sub("", command.help or "").split())
    rows = [f"| {_name(each)} | {_default(each)} | {(each.help or '').replace('|', chr(92) + '|')} |" for each in shown]
    table = "\n".join(["| takes | default | meaning |", "| --- | --- | --- |", *rows])
    return f"## {path}\n\n{told}\n\n```console\n$ {example(command)}\n```\n\n{table}{_answers(path)}"


def _name(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        name = (parameter.metavar or parameter.name).upper()
        return f"`{name}{'...' if parameter.nargs == -1 else ''}`"
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    default = parameter.default
    if default in (None, False, "", (), []) or callable(default):
        return ""
    return f"`{getattr(default, 'value', default)}`"
