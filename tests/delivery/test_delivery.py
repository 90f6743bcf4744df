"""Codes on their way to people: by one channel or the next, once, and with nothing given away."""

from __future__ import annotations

import io
import json
import logging
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import redirect_stdout
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
import redis

from hustlex.app import HustleX
from hustlex.core.time import FixedClock
from hustlex.delivery import (
    CallbackSender,
    ConsoleSender,
    Courier,
    HttpSender,
    Message,
    SendFailed,
    Texts,
    deliver_codes,
)
from hustlex.errors import ConfigurationError, Misuse
from hustlex.jobs import Tasks
from hustlex.otp import Delivery, Email, OtpEvent, OtpOptions, Policy, Verified
from hustlex.testing import drain
from tests.conftest import PATIENCE, SECRET
from tests.support.otp import PHONE, REF, everything, phone, sent, units, wrong

MINUTE = timedelta(minutes=1)
TEXTS = Texts(app="HustleX")
POLICIES = {
    "login": Policy(digits=10),
    "transaction": Policy(digits=10, needs_context=True, resend="new"),
}


class Phones:
    """A channel whose provider does as it is told: None takes the message, an exception is raised."""

    def __init__(self, channel: str = "sms", *plan: Exception | None) -> None:
        self.channel = channel
        self.plan = list(plan)
        self.got: list[Message] = []

    async def send(self, message: Message) -> None:
        self.got.append(message)
        step = self.plan.pop(0) if self.plan else None
        if step is not None:
            raise step


@pytest.fixture
def events() -> list[OtpEvent]:
    return []


@pytest.fixture
async def hx(url: str, clock: FixedClock, events: list[OtpEvent]) -> AsyncIterator[HustleX]:
    options = OtpOptions(watch=events.append, policies=POLICIES)
    async with HustleX(url, timeout=PATIENCE, secret=SECRET, clock=clock, otp=options) as front:
        yield front


def refused(permanent: bool = False) -> SendFailed:
    return SendFailed("no", permanent=permanent)


async def delivered(hx: HustleX, *senders: Phones, claim: str = "job", last: bool = False) -> tuple[bool, str]:
    issued = await sent(hx.otp)
    return await Courier(TEXTS, *senders).deliver(hx.otp, issued.challenge, claim=claim, last=last), issued.challenge


async def test_the_first_channel_takes_it(hx: HustleX, events: list[OtpEvent]) -> None:
    sms, voice = Phones("sms"), Phones("voice")
    done, challenge = await delivered(hx, sms, voice)
    opened = await hx.otp.open(challenge)
    assert isinstance(opened, Delivery)
    assert done
    assert [(message.to, message.text, message.key) for message in sms.got] == [(PHONE, TEXTS.text(opened), opened.key)]
    assert voice.got == []
    assert [(e.event, e.outcome, e.channel) for e in events if e.event == "report"] == [("report", "sent", "sms")]


@pytest.mark.parametrize("permanent", [True, False])
async def test_the_next_channel_takes_what_the_first_refused(hx: HustleX, permanent: bool) -> None:
    sms, voice = Phones("sms", refused(permanent)), Phones("voice")
    done, _ = await delivered(hx, sms, voice)
    assert done
    assert [message.key for message in sms.got] == [message.key for message in voice.got]


async def test_what_may_have_been_sent_is_not_sent_by_another_channel(hx: HustleX) -> None:
    sms, voice = Phones("sms", TimeoutError("no reply")), Phones("voice")
    with pytest.raises(TimeoutError):
        await delivered(hx, sms, voice)
    assert voice.got == []


async def test_a_number_that_no_channel_reaches_costs_nothing(hx: HustleX, raw: redis.Redis) -> None:
    done, _ = await delivered(hx, Phones("sms", refused(True)), Phones("voice", refused(True)))
    assert not done
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 0
    assert units(raw, "cc:NG") == 0


async def test_channels_that_are_down_are_tried_again_and_given_up_at_last(hx: HustleX, raw: redis.Redis) -> None:
    sms = Phones("sms", refused(), refused(), None)
    issued = await sent(hx.otp)
    courier = Courier(TEXTS, sms)
    with pytest.raises(SendFailed):
        await courier.deliver(hx.otp, issued.challenge, claim="job")
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 1
    with pytest.raises(SendFailed):
        await courier.deliver(hx.otp, issued.challenge, claim="job", last=True)
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 0
    assert len({message.key for message in sms.got}) == 1


async def test_two_jobs_for_one_send_are_one_message(hx: HustleX) -> None:
    sms = Phones()
    issued = await sent(hx.otp)
    courier = Courier(TEXTS, sms)
    assert [await courier.deliver(hx.otp, issued.challenge, claim=f"job {n}") for n in range(3)] == [True, False, False]
    assert len(sms.got) == 1


async def test_what_is_not_worth_sending_is_dropped(hx: HustleX, clock: FixedClock, events: list[OtpEvent]) -> None:
    sms = Phones()
    courier = Courier(TEXTS, sms)
    decoy = await sent(hx.otp, phone(1), deliver=False)
    late = await sent(hx.otp, phone(2))
    void = await sent(hx.otp, phone(3))
    await hx.otp.cancel(void.challenge)
    for issued in (decoy, void):
        assert await courier.deliver(hx.otp, issued.challenge, claim="job") is False
    clock.advance(timedelta(seconds=281))
    assert await courier.deliver(hx.otp, late.challenge, claim="job") is False
    assert sms.got == []
    assert [event.outcome for event in events if event.event == "open"] == ["suppressed", "unknown", "expired"]


async def test_a_courier_needs_a_sender() -> None:
    with pytest.raises(ConfigurationError):
        Courier(TEXTS)


# --- through the queue -----------------------------------------------------------------------------------------------


async def test_a_worker_sends_what_a_route_queued(hx: HustleX, clock: FixedClock) -> None:
    tasks, sms = Tasks(), Phones("sms", TimeoutError("no reply"))
    task = deliver_codes(tasks, sms, texts=TEXTS)
    issued = await sent(hx.otp)
    await hx.jobs.enqueue(task.job(issued.challenge))
    assert (await drain(hx, tasks, state=hx)).retried == {"otp:deliver": 1}
    clock.advance(timedelta(seconds=3))
    assert (await drain(hx, tasks, state=hx)).done == {"otp:deliver": 1}
    assert len({message.key for message in sms.got}) == 1
    code = sms.got[-1].text.split()[1]
    assert isinstance(await hx.otp.verify(issued.challenge, code), Verified)


async def test_a_gateway_that_stays_down_costs_the_user_nothing(
    hx: HustleX, clock: FixedClock, raw: redis.Redis
) -> None:
    tasks = Tasks()
    task = deliver_codes(tasks, Phones("sms", refused(), refused()), texts=TEXTS)
    await hx.jobs.enqueue(task.job((await sent(hx.otp)).challenge))
    assert (await drain(hx, tasks, state=hx)).retried == {"otp:deliver": 1}
    clock.advance(timedelta(seconds=3))
    assert (await drain(hx, tasks, state=hx)).failed == {"otp:deliver": 1}
    assert raw.zcount(f"otp:{{{REF}}}:sends", 0, "inf") == 0


class Wiretap:
    """Every command that the server runs, as MONITOR shows it."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self.lines: list[str] = []
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def _listen(self) -> None:
        with self._client.monitor() as monitor:
            self._ready.set()
            for command in monitor.listen():
                self.lines.append(command["command"])
                if "the end of the tape" in command["command"]:
                    return

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        with redis.Redis.from_url(self._client_url()) as other:
            other.echo("the end of the tape")
        self._thread.join(60)
        self._client.close()

    def _client_url(self) -> str:
        options = self._client.get_connection_kwargs()
        if "path" in options:
            return f"unix://{options['path']}"
        return f"redis://:{options.get('password') or ''}@{options['host']}:{options['port']}"


async def test_no_code_and_no_phone_anywhere(
    hx: HustleX, clock: FixedClock, raw: redis.Redis, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The whole story, jobs included, under MONITOR, with every call in the slow log and every log line kept: codes of
    ten digits, phones, device tokens, grants and what a transaction is about are looked for in all of it.
    """
    caplog.set_level(logging.DEBUG)
    raw.config_set("slowlog-log-slower-than", "0")
    raw.config_set("slowlog-max-len", "100000")
    raw.slowlog_reset()
    secrets, dumps = {PHONE[1:], "8031234567", "ADA OBI"}, []
    tasks, sms = Tasks(), Phones()
    task = deliver_codes(tasks, sms, texts=TEXTS)
    ctx = {"amount_minor": 500_000, "to": "ADA OBI"}
    with Wiretap(url) as tap:
        for purpose, about in (("login", None), ("transaction", ctx)):
            issued = await sent(hx.otp, purpose=purpose, ctx=about, about="NGN 5,000 to ADA OBI", ip="203.0.113.77")
            await hx.jobs.enqueue(task.job(issued.challenge))
            dumps.append(str(everything(raw)))
            await drain(hx, tasks, state=hx)
            clock.advance(MINUTE)
            await hx.otp.resend(issued.challenge, ip="203.0.113.77")
            await hx.jobs.enqueue(task.job(issued.challenge))
            await drain(hx, tasks, state=hx)
            codes = [message.text.split()[1] for message in sms.got]
            secrets |= {*codes, wrong(codes[-1])}
            await hx.otp.verify(issued.challenge, wrong(codes[-1]), ctx=about, ip="203.0.113.77")
            answer = await hx.otp.verify(
                issued.challenge, codes[-1], ctx=about, nonce="nonce of a phone", remember=True
            )
            assert isinstance(answer, Verified), answer
            secrets |= {"nonce of a phone", answer.device[4:]}
            dumps.append(str(everything(raw)))
            secrets.add(answer.grant.rsplit(".", 1)[1])
            await hx.otp.consume_grant(answer.grant, purpose, about)
            dumps.append(str(everything(raw)))
            clock.advance(MINUTE)
        enrolment = hx.otp.totp_enrol("user-1", issuer="HustleX", account="ada")
        await hx.otp.totp_verify("user-1", enrolment.sealed, "404040")
        secrets |= {enrolment.secret, enrolment.sealed}
    seen = "\n".join(tap.lines)
    slow = str(raw.slowlog_get(100_000))
    assert "otp.verify" not in seen
    assert seen.count("EVALSHA") > 20
    assert "203.0.113.77" not in caplog.text
    assert "network=203.0.113.0/24" in caplog.text
    assert len(slow) > 10_000
    assert len(secrets) >= 3 + 5 + 1 + 4
    haystacks = {"monitor": seen, "slow log": slow, "log": caplog.text, "redis": "".join(dumps)}
    # A message's text is in no job: what the queue holds is among the dumps.
    assert "otp:deliver" in haystacks["redis"]
    assert issued.challenge in haystacks["redis"]
    found = [(place, secret) for place, text in haystacks.items() for secret in secrets if secret in text]
    assert found == []


# --- senders ---------------------------------------------------------------------------------------------------------


def gateway(answer: Any) -> tuple[HttpSender, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer)

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return HttpSender("https://sms.test/send?key=s3cret", headers={"X-Api": "k"}, client=client), seen


MESSAGE = Message(PHONE, "HustleX: 123456", "a-key")


async def test_the_gateway_gets_the_message_and_its_key() -> None:
    sender, seen = gateway(202)
    await sender.send(MESSAGE)
    assert json.loads(seen[0].content) == {"to": PHONE, "text": "HustleX: 123456"}
    assert (seen[0].headers["idempotency-key"], seen[0].headers["x-api"]) == ("a-key", "k")
    await sender.close()


@pytest.mark.parametrize(
    ("answer", "kind", "permanent"),
    [
        (400, SendFailed, True),
        (404, SendFailed, True),
        (302, SendFailed, True),
        (408, SendFailed, False),
        (429, SendFailed, False),
        (503, SendFailed, False),
        (httpx.ConnectError("s3cret"), SendFailed, False),
        (httpx.ReadTimeout("s3cret"), TimeoutError, None),
        (httpx.RemoteProtocolError("s3cret"), TimeoutError, None),
    ],
)
async def test_what_a_gateway_answers(answer: Any, kind: type[Exception], permanent: bool | None) -> None:
    sender, _ = gateway(answer)
    with pytest.raises(kind) as caught:
        await sender.send(MESSAGE)
    assert getattr(caught.value, "permanent", None) == permanent
    assert not any(secret in str(caught.value) for secret in ("s3cret", PHONE, "123456"))
    await sender.close()


async def test_a_gateway_of_its_own_opens_and_closes() -> None:
    sender = HttpSender("https://sms.test/send", channel="whatsapp")
    assert sender.channel == "whatsapp"
    await sender.close()


async def test_the_console_writes_a_file_or_shows_the_text(tmp_path: Path) -> None:
    file, out = tmp_path / "new" / "outbox.jsonl", io.StringIO()
    with redirect_stdout(out):
        await ConsoleSender(file).send(MESSAGE)
        await ConsoleSender(file).send(MESSAGE)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == [{"kind": "sms", "to": PHONE, "text": "HustleX: 123456", "key": "a-key"}] * 2
    assert "123456" not in out.getvalue()
    assert PHONE not in out.getvalue()
    with redirect_stdout(out):
        await ConsoleSender().send(MESSAGE)
    assert "123456" in out.getvalue()


@pytest.mark.parametrize("where", ["variable", ".env"])
def test_the_console_is_refused_in_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str) -> None:
    monkeypatch.chdir(tmp_path)
    if where == "variable":
        monkeypatch.setenv("HUSTLEX_ENV", "production")
    else:
        (tmp_path / ".env").write_text("HUSTLEX_ENV=production")
    with pytest.raises(ConfigurationError, match="console sender is for development"):
        ConsoleSender()


async def test_the_console_keeps_its_file_private_and_steers_no_terminal(tmp_path: Path) -> None:
    loose, out = tmp_path / "loose.jsonl", io.StringIO()
    loose.touch(0o666)
    for file in (loose, tmp_path / "new" / "outbox.jsonl"):
        with redirect_stdout(out):
            await ConsoleSender(file).send(MESSAGE)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(loose)
    with pytest.raises(OSError, match="symbolic"):
        await ConsoleSender(tmp_path / "link").send(MESSAGE)
    with redirect_stdout(out):
        await ConsoleSender().send(Message(PHONE, "\x1b]0;x\x07 123456\nto you", "a-key"))
    assert r"\x1b]0;x\x07 123456\nto you" in out.getvalue()


def test_a_message_hides_what_it_says() -> None:
    assert "123456" not in repr(MESSAGE)
    assert PHONE not in repr(MESSAGE)


# --- texts -----------------------------------------------------------------------------------------------------------


def opened(purpose: str, about: str = "") -> Delivery:
    return Delivery(PHONE, "123456", "KTX", purpose, timedelta(seconds=299), about)


@pytest.mark.parametrize("purpose", ["login", "register", "pin_reset", "transaction", "a_purpose_of_ones_own"])
def test_a_text_says_who_what_for_how_long_and_which(purpose: str) -> None:
    text = TEXTS.text(opened(purpose, "NGN 5,000.00 to ADA OBI" if purpose == "transaction" else ""))
    for part in ("HustleX", "123456", "KTX", "5 min", "never ask"):
        assert part in text
    assert ("NGN 5,000.00 to ADA OBI" in text) is (purpose == "transaction")
    assert len(text) <= 160


def test_the_last_line_is_bound_to_a_site() -> None:
    texts = Texts(app="HustleX", domain="app.hustlex.test", retriever="FA+9qCX9VSu")
    assert texts.text(opened("login")).splitlines()[1:] == ["FA+9qCX9VSu", "@app.hustlex.test #123456"]


def test_words_of_ones_own() -> None:
    assert Texts(app="X", lines={"login": "{ref}: {code}"}).text(opened("login")) == "KTX: 123456"
    for bad in ("no names", "{code} {ref} {phone}", "{code}"):
        with pytest.raises(ConfigurationError):
            Texts(app="X", lines={"login": bad})


# --- e-mail ----------------------------------------------------------------------------------------------------------

ADA = Email("Ada.Obi@example.com")


async def by_mail(hx: HustleX, *senders: Any) -> Delivery:
    issued = await hx.otp.issue(ADA)
    opened = await hx.otp.open(issued.challenge)  # type: ignore[union-attr]
    assert isinstance(opened, Delivery)
    texts = Texts(app="HustleX", domain="hustlex.test", retriever="x" * 11)
    assert await Courier(texts, *senders).deliver(hx.otp, issued.challenge, claim="job")  # type: ignore[union-attr]
    return opened


async def test_an_e_mail_goes_by_the_senders_for_it_alone(hx: HustleX) -> None:
    sms, mail = Phones("sms"), Phones("email")
    opened = await by_mail(hx, sms, mail)
    (message,) = mail.got
    assert sms.got == []
    assert (message.to, message.by_mail, message.subject) == (
        "Ada.Obi@example.com",
        True,
        f"HustleX: your code (ref {opened.ref})",
    )
    assert opened.code in message.text
    assert opened.code not in message.subject
    assert "hustlex.test" not in message.text
    done, _ = await delivered(hx, mail, sms)
    assert done
    assert sms.got[0].subject == ""


async def test_without_a_sender_for_it_the_send_is_given_back_and_it_is_said(hx: HustleX, raw: redis.Redis) -> None:
    issued = await hx.otp.issue(ADA)
    with pytest.raises(ConfigurationError, match="no sender takes e-mail"):
        await Courier(TEXTS, Phones("sms")).deliver(hx.otp, issued.challenge, claim="job")  # type: ignore[union-attr]
    assert not [key for key in raw.scan_iter("*:sends") if raw.zcount(key, 0, "inf")]
    with pytest.raises(ConfigurationError, match="no sender takes messages to phones"):
        await delivered(hx, Phones("email"))


async def test_a_function_sends(hx: HustleX) -> None:
    got: list[Message] = []

    async def later(message: Message) -> None:
        got.append(message)

    opened = await by_mail(hx, CallbackSender(later))
    await CallbackSender(got.append).send(got[0])
    assert [message.key for message in got] == [opened.key] * 2

    def refuse(_: Message) -> None:
        raise SendFailed("no", permanent=True)

    with pytest.raises(SendFailed):
        await CallbackSender(refuse).send(got[0])
    with pytest.raises(Misuse, match="function cannot be"):
        CallbackSender("smtp")  # type: ignore[arg-type]


async def test_the_console_and_a_gateway_take_e_mail(hx: HustleX, tmp_path: Path) -> None:
    file = tmp_path / "outbox.jsonl"
    with redirect_stdout(io.StringIO()) as shown:
        await by_mail(hx, ConsoleSender(file))
    assert json.loads(file.read_text())["kind"] == "email"
    assert "example" not in shown.getvalue().lower()
    bodies: list[dict[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(json.loads(request.content))
        return httpx.Response(202)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        message = Message("ada@example.com", "text", "key", "subject")
        await HttpSender("https://gateway.test/", channel="email", client=client).send(message)
    assert bodies == [{"to": "ada@example.com", "text": "text", "subject": "subject"}]


def test_a_subject_never_holds_the_code() -> None:
    with pytest.raises(ConfigurationError, match="never the code"):
        Texts(app="HustleX", subject="{code}")
