"""Token checks, refreshes, logins and codes: ours beside PyJWT and redis-py put together by hand."""

from __future__ import annotations

from bench.harness import (
    QUICK,
    Budget,
    Figures,
    print_goals,
    print_summary,
    print_table,
    run_arm,
    serving,
    turned,
    versions,
)

_OURS, _PEER = "hustlex", "PyJWT + redis-py"
_ARMS = {_OURS: "bench.own.auth", _PEER: "bench.peers.pyjwt_redis"}
_ROWS = {
    "check, strict": (_OURS, "strict_check"),
    "check, bounded": (_OURS, "bounded_check"),
    "check, stateless": (_OURS, "stateless_check"),
    "check, strict, token never seen": (_OURS, "first_check"),
    "the same, Ed25519": (_OURS, "first_check_eddsa"),
    f"check, {_PEER}, ES256": (_PEER, "es256_check"),
    f"check, {_PEER}, EdDSA": (_PEER, "eddsa_check"),
    f"check, {_PEER}, HS256": (_PEER, "hs256_check"),
    "refresh": (_OURS, "refresh"),
    "login": (_OURS, "login"),
    "code, right": (_OURS, "otp_verify"),
    "code, wrong": (_OURS, "otp_wrong"),
}

_BOUNDS = """
What bounds: a strict check, the server's script; a bounded one, SHA-256 of the token and Python's calls; one never
seen, a refresh and a login, the ES256 signature; a code, Python's HMACs and the script. A ceiling in the last line is
what the CPU per call (ours or the server's, whichever is more) would allow one core: is it far above the rate, the
machine was busy."""


def main() -> None:
    """Run the arms in turn, print the tables and the summary."""
    figures = Figures()
    for number in Budget(60 if QUICK else 240, 9).rounds():
        for arm in turned(list(_ARMS), number):
            with serving() as server:
                figures.add(arm, run_arm(_ARMS[arm], "auth", server.url, "0.4" if QUICK else "1"))
    _report(figures)


def _report(figures: Figures) -> None:
    print_table(
        f"One process, uvloop ({versions('PyJWT', 'cryptography', 'redis', 'hiredis')}): median (min-max)",
        ["", "64 callers /s", "CPU us", "server's", "1 caller p50 ms", "p99 ms"],
        [
            [label, *(figures.cell(arm, f"{name}{end}", digits) for end, digits in _COLUMNS)]
            for label, (arm, name) in _ROWS.items()
        ],
    )
    found = _summary(figures)
    print_goals("auth", found)
    print(_BOUNDS)
    print_summary(found)


_COLUMNS = (("64", 0), ("_cpu", 1), ("_server_cpu", 1), ("_p50_ms", 3), ("_p99_ms", 3))


def _summary(figures: Figures) -> dict[str, float]:
    found: dict[str, float] = {}
    for arm, name in _ROWS.values():
        ours, servers = (figures.median(arm, f"{name}{end}") for end in ("_cpu", "_server_cpu"))
        found |= {
            f"{name}64_per_s": figures.median(arm, f"{name}64"),
            f"{name}_cpu_us": ours,
            f"{name}_server_cpu_us": servers,
            f"{name}64_ceiling_per_s": 1e6 / max(ours, servers),
        }
        if name.endswith("_check") and name != "first_check":
            found[f"{name}_p50_ms"] = figures.median(arm, f"{name}_p50_ms")
    peers = ("es256_check64", "hs256_check64")
    best = max(figures.median(_PEER, name) for name in peers)
    for name in ("strict_check", "bounded_check", "first_check"):
        found[f"{name}64_vs_peer"] = figures.median(_OURS, f"{name}64") / best
    return found


if __name__ == "__main__":
    main()
