"""Who is connected, who may come in, and what they may do."""

from __future__ import annotations

from hustlex.diagnostics.checks.check import Checks, Info, Judgement, denied, grown, number, ok
from hustlex.diagnostics.facts import ServerFacts
from hustlex.diagnostics.findings import Level, Role
from hustlex.diagnostics.places import loopback

CHECKS = Checks()

_CROWDED = 0.8
_IDLE_S = 3_600
_SLOW_READER = 2**20
_SHORT_TIMEOUT_S = 60
_RENEW_DAYS = 21
_SIGNS_OF_LIFE = ("hustlex", "redis-py", "valkey-py", "go-redis", "asynq")


@CHECKS.by_info("fail: connections were rejected; warn: over 80 % of maxclients", "who comes next is turned away")
def _clients(_: Role, info: Info) -> Judgement:
    connected, most = int(number(info, "connected_clients")), int(number(info, "maxclients"))
    rejected = int(number(info, "rejected_connections"))
    detail = f"{connected} of {most or 'unknown'} connections" + (f", {rejected} were rejected" if rejected else "")
    detail += f", {int(number(info, 'blocked_clients'))} wait"
    hint = "raise maxclients, or find who opens so many: CLIENT LIST"
    if rejected:
        return "fail", detail, hint
    return ("warn" if most and connected > _CROWDED * most else "ok"), detail, hint


@CHECKS.add("warn: over 1 MiB waits to be read by one; info: idle for an hour, or of an unknown library", "leaks")
def _connections(_: Role, facts: ServerFacts) -> Judgement:
    if facts.clients is None:
        return denied("+client|list")
    slow = [each for each in facts.clients if number(each, "omem") > _SLOW_READER]
    plain = [each for each in facts.clients if not set(each.get("flags", "")) & set("MSPOR")]
    idle = [each for each in plain if number(each, "idle") > _IDLE_S]
    strange = {name for each in plain if (name := each.get("lib-name", "")) and not name.startswith(_SIGNS_OF_LIFE)}
    parts = [f"{len(slow)} read too slowly"] if slow else []
    parts += [f"{len(idle)} idle for an hour"] if idle else []
    parts += [f"{len(strange)} unknown libraries"] if strange else []
    detail = ", ".join(parts) or f"nothing odd about {len(facts.clients)}"
    return ("warn" if slow else "info" if parts else "ok"), detail, "find them: CLIENT LIST"


@CHECKS.add("warn: some were cut off (while it was watched; else info)", "a worker or subscriber that hears nothing")
def _cut_off(_: Role, facts: ServerFacts) -> Judgement:
    name = "client_output_buffer_limit_disconnections"
    if not facts.info:
        return denied("+info")
    count = grown(facts, name)
    level: Level = (
        "ok" if not (count if count is not None else number(facts.info, name)) else "info" if count is None else "warn"
    )
    detail = f"{number(facts.info, name) if count is None else count:.0f} clients were cut off, they read too slowly"
    return level, detail, "client-output-buffer-limit pubsub 64mb 16mb 60, and handlers that do not block"


@CHECKS.add("info: clients keep copies, and none of them asked for the changes of a prefix", "copies may be off")
def _near_caches(role: Role, facts: ServerFacts) -> Judgement | None:
    clients, prefixes = (int(number(facts.info, f"tracking_{name}")) for name in ("clients", "total_prefixes"))
    if role != "cache" or not clients:
        return None
    hint = "hx.degraded and /health say why; does the server refuse CLIENT TRACKING?"
    return ("ok" if prefixes else "info"), f"{clients} clients are told of changes, of {prefixes} prefixes", hint


@CHECKS.add(
    "warn: it closes idle connections after less than a minute", "the server closes connections that we still use"
)
def _timeout(_: Role, facts: ServerFacts) -> Judgement:
    if facts.settings is None:
        return denied("+config|get")
    seconds = number(facts.settings, "timeout")
    short = 0 < seconds < _SHORT_TIMEOUT_S
    return ("warn" if short else "ok"), f"timeout {seconds:.0f}", "set timeout 0, and tcp-keepalive 60"


# -- rights


@CHECKS.add("warn: the user is default, or may do everything", "one stolen password is the whole server")
def _rights(_: Role, facts: ServerFacts) -> Judgement:
    hint = "make one with: hustlex doctor --acl"
    if facts.user == "default":
        return "warn", "the user is default, who may do everything", hint
    rules = facts.rules
    if rules is not None and (rules.unlimited or "+@admin" in rules.commands or "+@dangerous" in rules.commands):
        return "warn", f"the user {facts.user} may do what only administrators should", hint
    if rules is not None and "~*" in rules.keys.split():
        return "warn", f"the user {facts.user} may read and change every key", hint
    return ok(f"the user is {facts.user or 'one that may not ask, so a limited one'}")


@CHECKS.add("fail: the user may not run a command that a room needs", "that room fails when it is used")
def _commands(_: Role, facts: ServerFacts) -> Judgement:
    if facts.missing is None:
        return denied("+acl|whoami +acl|getuser +acl|dryrun +command|info")
    rules = " ".join(f"+{name}" for name in facts.missing)
    detail = f"not allowed: {', '.join(facts.missing)}" if rules else "all that the rooms need are allowed"
    return ("fail" if rules else "ok"), detail, f"ACL SETUSER {facts.user} {rules}"


@CHECKS.add("fail: anybody may come in, from another machine", "whoever reaches it reads and changes everything")
def _password(_: Role, facts: ServerFacts) -> Judgement | None:
    link = facts.link
    if link is None or link.path or loopback(link.host):
        return None
    if facts.open_default is None and link.password:
        return denied("+acl|getuser")
    is_open = facts.open_default or not link.password
    return (
        ("fail" if is_open else "ok"),
        "no password is needed" if is_open else "a password is needed",
        ("ACL SETUSER default off, and a user with a password: hustlex doctor --acl"),
    )


@CHECKS.add("fail: protected-mode is off, it listens everywhere, and no password is needed", "the same, from anywhere")
def _exposed(_: Role, facts: ServerFacts) -> Judgement:
    settings = facts.settings
    if settings is None or facts.open_default is None:
        return denied("+config|get +acl|getuser")
    places = settings.get("bind", "").split()
    everywhere = not places or any(place.lstrip("-") in ("0.0.0.0", "::", "*", "::*") for place in places)  # noqa: S104
    bare = settings.get("protected-mode") == "no" and everywhere and facts.open_default
    detail = f"protected-mode {settings.get('protected-mode', 'not known')}, bind {' '.join(places) or 'everywhere'}"
    return ("fail" if bare else "ok"), detail, "protected-mode yes, bind a private address, and set a password"


@CHECKS.add(
    "fail: no TLS to an address that is not private, or the certificate is not looked at; warn: it ends in 21 days",
    "codes and sessions can be read, or changed, on their way",
)
def _tls(_: Role, facts: ServerFacts) -> Judgement | None:
    link = facts.link
    if link is None or facts.private is None:
        return None
    if not link.tls:
        detail = "without TLS, in a private network" if facts.private else "without TLS, to a public address"
        return ("ok" if facts.private else "fail"), detail, "use rediss://, and the server's TLS port"
    if not link.verified:
        return "fail", "the certificate is not looked at", "take insecure=1 out of the URL, name ssl_ca_certs"
    days = facts.certificate_days
    if days is None:
        return "unknown", "the certificate could not be read", "look at it with openssl s_client"
    return ("warn" if days < _RENEW_DAYS else "ok"), f"the certificate is good for {days:.0f} days", "renew it"
