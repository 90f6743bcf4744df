"""``hustlex completion``: what a shell needs to complete commands, options, and names of what there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Annotated, Any, Literal

import typer

from hustlex.core.printable import printable
from hustlex.errors import Error

_PATIENCE = timedelta(milliseconds=300)
"""Whoever pressed the key waits."""
_MOST = 200
SHELLS = ("bash", "zsh", "fish")
_WORDS: dict[str, tuple[str, ...]] = {
    "--kind": ("live", "replay", "latest"),
    "--missed": ("skip", "once", "all"),
    "--level": ("read", "act"),
    "--lane": ("anon", "known"),
}
"""What options take."""

_BASH = """\
_hustlex() {
    local line=${COMP_LINE:0:COMP_POINT} words current each
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current=${words[${#words[@]}-1]}
    COMPREPLY=()
    while IFS= read -r each; do
        # bash takes a colon for the end of a word, and puts in what stands behind it
        [[ $COMP_WORDBREAKS == *:* && $current == *:* ]] && each=${each#"${current%"${current##*:}"}"}
        COMPREPLY+=("$(printf %q "$each")")
    done < <(hustlex complete -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -F _hustlex hustlex"""
_ZSH = """\
#compdef hustlex
_hustlex() {
    local -a found
    found=(${(f)"$(hustlex complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    compadd -a found
}
compdef _hustlex hustlex"""
_FISH = """\
complete -c hustlex -f -a '(hustlex complete -- (commandline -opc)[2..-1] "$(commandline -ct)" 2>/dev/null)'"""
_SCRIPTS = dict(zip(SHELLS, (_BASH, _ZSH, _FISH), strict=True))


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="bash, zsh or fish")],
) -> None:
    """Print what makes a shell complete commands, options, queues, entries and workers.

    Example: hustlex completion bash >> ~/.bashrc
    """
    print(_SCRIPTS[shell])


def complete(ctx: typer.Context, words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """What could stand in the last of these words, a line each; asked by the shell.

    Example: hustlex complete -- queue pau
    """
    for found in candidates(ctx.find_root().command, words or [""]):
        print(printable(found))


def candidates(root: Any, words: list[str]) -> list[str]:
    """What begins like the last word. root: the whole command. Silent when the server is away."""
    *before, current = words
    command, path = root, list[str]()
    for word in before:
        below = getattr(command, "commands", {})
        name = word if word in below or path else word.removesuffix("s")
        if name in below:
            command = below[name]
            path.append(name)
        elif path == ["worker"] and not word.startswith("-"):
            command = below["start"]
    return [each for each in dict.fromkeys(_offered(command, path, before, current)) if each.startswith(current)]


def _offered(command: Any, path: list[str], before: list[str], current: str) -> Iterator[str]:
    last = before[-1] if before else ""
    if current.startswith("-"):
        yield from (name for each in command.params if not getattr(each, "hidden", False) for name in _options(each))
        yield "--help"
    elif last in _WORDS:
        yield from _WORDS[last]
    elif last in ("--queue", "-q"):
        yield from _named("queue")
    elif below := getattr(command, "commands", None):
        yield from (name for name, each in below.items() if not each.hidden)
    elif path == ["completion"]:
        yield from SHELLS
    elif path and path[-1] not in ("ls", "add", "start"):
        yield from _named(path[0])


def _options(parameter: Any) -> Iterator[str]:
    if getattr(parameter, "param_type_name", "") == "option":
        yield from (name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--"))


def _named(noun: str) -> list[str]:
    """Names that the server knows."""
    from hustlex.settings import load_settings
    from hustlex.sync import HustleX

    with suppress(Error, OSError):
        settings = load_settings()
        with HustleX(settings.url, timeout=_PATIENCE, strict_memory=False) as hx:
            match noun:
                case "queue":
                    return hx.jobs.inspector.queues()[:_MOST]
                case "cron":
                    return [each.name for each in hx.jobs.schedules.all()][:_MOST]
                case "worker":
                    return [f"{each.host}:{each.pid}" for each in hx.jobs.inspector.servers()][:_MOST]
    return []
