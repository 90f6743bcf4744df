"""The example's pages in a browser without scripts: links, forms and cookies, and what strangers cannot do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from examples.gigs import forms
from examples.gigs.app import create_app
from examples.gigs.money import release_escrow
from examples.gigs.views import Notice, naira
from hustlex.otp import Delivery
from tests.conftest import SECRET

OWNER, WORKER = "0803 123 4567", "+2348031234568"


class Seen(HTMLParser):
    """What a page is made of: the fields of its forms, links, labels, and what has no place in it."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.links: list[str] = []
        self.labels: set[str] = set()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.headings: list[str] = []
        self.text = ""
        self._form: dict[str, str] = {}
        self._script = False
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.ids += [known["id"] or ""] if "id" in known else []
        self.inline += [f"{tag} {name}" for name in known if name == "style" or name.startswith("on")]
        self._script = tag in ("script", "style")
        if self._script and "src" not in known:
            self.inline.append(tag)
        if tag == "form":
            self._form = self.forms.setdefault(known.get("action") or "", {})
        elif tag in ("input", "select", "button") and (name := known.get("name")):
            self.fields[name] = known
            if tag == "input":
                self._form[name] = known.get("value") or ""
        elif tag == "a":
            self.links.append(known.get("href") or "")
        elif tag == "label":
            self.labels.add(known.get("for") or "")
        elif re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


class Browser:
    """One person's, without scripts."""

    def __init__(self, app: Any, scheme: str = "http") -> None:
        self.app = app
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"{scheme}://gigs")
        self.answer: httpx.Response

    async def open(self, path: str, *, status: int = 200) -> Seen:
        self.answer = await self.client.get(path, headers={"Accept": "text/html"}, follow_redirects=True)
        assert self.answer.status_code == status, self.answer.text
        return Seen(self.answer)

    async def send(self, action: str, *, status: int = 200, **fields: str) -> Seen:
        """Fill the form of the page that is open, and press its button."""
        body = Seen(self.answer).forms[action] | fields
        headers = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
        self.answer = await self.client.post(action, data=body, headers=headers, follow_redirects=True)
        assert self.answer.status_code == status, self.answer.text
        return Seen(self.answer)

    async def sign_in(self, phone: str, at: str = "/login") -> Seen:
        await self.open(at)
        await self.send("/login", phone=phone)
        return await self.send("/login/code", code=await self.code())

    async def code(self) -> str:
        """As the text message has it."""
        secure = self.client.base_url.scheme == "https"
        challenge = self.client.cookies["__Host-gigs-challenge" if secure else "gigs-challenge"]
        delivery = await self.app.state.hustlex.otp.open(challenge)
        assert isinstance(delivery, Delivery)
        return delivery.code


@pytest.fixture
async def app(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("HUSTLEX_URL", url)
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    app = create_app()
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def owner(app: Any) -> AsyncIterator[Browser]:
    browser = Browser(app)
    await browser.sign_in(OWNER)
    yield browser
    await browser.client.aclose()


async def posted(owner: Browser, **fields: str) -> Seen:
    await owner.open("/new")
    return await owner.send("/new", **({"title": "Fix my roof", "category": "repairs", "price": "15,000"} | fields))


async def test_a_gig_goes_from_posted_to_paid_with_forms_alone(app: Any, owner: Browser) -> None:
    seen = await posted(owner)
    assert "Your gig is online" in seen.text
    assert owner.answer.url.path == "/gig/1"
    assert "₦35,000" in (await owner.open("/wallet")).text
    assert "₦15,000 more are held" in (await owner.open("/wallet")).text
    worker = Browser(app)
    assert "Sign in to take it" in (await worker.open("/gig/1")).text
    seen = await worker.sign_in(WORKER, "/login?next=/gig/1")
    assert worker.answer.url.path == "/gig/1"
    assert "The gig is yours" in (await worker.send("/gig/1/take")).text
    assert "Fix my roof" not in (await worker.open("/?category=repairs")).text
    await owner.open("/gig/1")
    assert "on its way" in (await owner.send("/gig/1/complete")).text
    async with app.state.backend.database.transaction() as session:
        await release_escrow(session, 1)
    await app.state.backend.profiles.delete(2)
    assert "Paid" in (await worker.open("/work")).text
    wallet = await worker.open("/wallet")
    assert "₦65,000" in wallet.text
    assert "Paid for Fix my roof" in wallet.text
    await worker.send("/logout")
    assert (await worker.open("/wallet")).forms.keys() == {"/login"}


async def test_a_form_that_is_sent_twice_posts_once(owner: Browser) -> None:
    await owner.open("/new")
    form, filled = owner.answer, {"title": "Move a bed", "category": "moving", "price": "1,000"}
    for _ in range(2):
        owner.answer = form
        await owner.send("/new", **filled)
        assert owner.answer.url.path == "/gig/1"
    assert "₦49,000" in (await owner.open("/wallet")).text


async def test_a_transfer_that_is_sent_twice_moves_once_and_the_sixth_waits(app: Any, owner: Browser) -> None:
    other = Browser(app)
    await other.sign_in(WORKER)
    await owner.open("/wallet")
    form = owner.answer
    for _ in range(2):
        owner.answer = form
        assert "The money was sent" in (await owner.send("/wallet", phone=WORKER, amount="100")).text
    for _ in range(3):
        await owner.open("/wallet")
        await owner.send("/wallet", phone=WORKER, amount="100.50")
    refused = await owner.send("/wallet", phone=WORKER, amount="100", status=429)
    assert "Nothing was sent" in refused.text
    assert 0 < int(owner.answer.headers["retry-after"]) <= 70
    assert refused.fields["phone"]["value"] == WORKER
    assert "₦49,598.50" in (await owner.open("/wallet")).text
    assert "₦401.50" not in (await other.open("/wallet")).text
    assert "₦50,401.50" in (await other.open("/wallet")).text
    assert "Received from …4567" in (await other.open("/wallet")).text
    assert (await other.open("/notices")).text.count("arrived in your wallet") == 4


WRONG = [
    ({"title": " x "}, "3 to 200 characters"),
    ({"title": "a\x00b c"}, "3 to 200 characters"),
    ({"category": "theft"}, "Choose one"),
    ({"price": "much"}, "Write an amount"),
    ({"price": "0"}, "Write an amount"),
    ({"price": "99,999,999,999"}, "Write an amount"),
    ({"title": "<script>alert(1)</script>", "price": "-1"}, "Write an amount"),
]


async def test_what_cannot_be_is_said_beside_its_field(owner: Browser) -> None:
    for fields, said in WRONG:
        await owner.open("/new")
        filled = {"title": "A good title", "category": "repairs", "price": "10"} | fields
        seen = await owner.send("/new", status=422, **filled)
        assert said in seen.text
        assert seen.inline == []
        assert seen.fields["title"]["value"] == filled["title"]
        wrong = next(iter(reversed(fields)))
        assert seen.fields[wrong]["aria-invalid"] == "true"
        assert f"{wrong}-said" in seen.ids


async def test_money_that_is_not_there_is_said(owner: Browser) -> None:
    await owner.open("/new")
    seen = await owner.send("/new", status=409, title="Too dear", category="repairs", price="50,000.01")
    assert "does not hold that much" in seen.text
    await owner.open("/wallet")
    assert "Nobody here has this number" in (await owner.send("/wallet", status=404, phone=WORKER, amount="1")).text


async def test_codes_refuse_politely(app: Any) -> None:
    browser = Browser(app)
    await browser.open("/login")
    assert "not a phone number" in (await browser.send("/login", status=422, phone="12")).text
    await browser.send("/login", phone=OWNER)
    code = await browser.code()
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    assert "4 tries left" in (await browser.send("/login/code", status=400, code=wrong)).text
    again = await browser.send("/login/code", status=429, again="1")
    assert "You can try again in" in again.text
    assert int(browser.answer.headers["retry-after"]) > 0
    assert "You are signed in" in (await browser.send("/login/code", code=code)).text
    assert (await browser.open("/login/code")).text.count("Your code") == 0


async def test_a_form_from_elsewhere_does_nothing(owner: Browser) -> None:
    """Without a seal, with a wrong one, and with the right one shown by a page of another site or a neighbour."""
    await owner.open("/wallet")
    right = Seen(owner.answer).forms["/wallet"]
    wrong = [({}, "same-origin"), ({"seal": "ü"}, "same-origin"), (right, "cross-site"), (right, "same-site")]
    for body, site in wrong:
        for action in ("/new", "/gig/1/take", "/gig/1/complete", "/wallet", "/logout"):
            answer = await owner.client.post(action, data=body, headers={"Sec-Fetch-Site": site})
            assert answer.status_code == 403
            assert answer.headers["content-type"].startswith("text/html")
    assert "₦50,000" in (await owner.open("/wallet")).text


async def test_anothers_seal_is_no_seal(app: Any, owner: Browser) -> None:
    other = Browser(app)
    await other.sign_in(WORKER)
    seal = Seen(other.answer).forms["/logout"]["seal"]
    assert (await owner.client.post("/logout", data={"seal": seal})).status_code == 403


async def test_each_page_is_careful_and_can_be_read(app: Any, owner: Browser) -> None:
    """No script or style of its own, one first heading, a label for each field, each id once, and a way home."""
    await posted(owner)
    stranger = Browser(app)
    for path in ("/", "/login", "/gig/1"):
        careful(stranger, await stranger.open(path))
    for path in ("/", "/new", "/work", "/wallet", "/notices", "/gig/1"):
        careful(owner, await owner.open(path))
    for path in ("/gig/7", "/gig/x", "/nowhere"):
        seen = await owner.open(path, status=404)
        careful(owner, seen)
        assert "₦35,000" in seen.text


def careful(browser: Browser, seen: Seen) -> None:
    assert seen.inline == []
    policy = browser.answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert browser.answer.headers["cache-control"] == "no-store"
    assert seen.headings[0] == "h1"
    assert seen.headings.count("h1") == 1
    visible = {name for name, field in seen.fields.items() if field.get("type") != "hidden" and "id" in field}
    assert visible <= seen.labels
    assert len(seen.ids) == len(set(seen.ids))
    assert "/" in seen.links
    assert 'lang="en"' in browser.answer.text


async def test_what_is_for_members_leads_to_the_login_and_back(app: Any) -> None:
    for path in ("/new", "/work", "/notices"):
        assert "/login" in (await Browser(app).open(path)).forms
    browser = Browser(app)
    await browser.sign_in(OWNER, "/wallet")
    assert browser.answer.url.path == "/wallet"


async def test_cookies_of_nonsense_are_none(app: Any) -> None:
    for junk in ("x", "x" * 3000, "a.b.c", "%00", '"'):
        browser = Browser(app)
        for name in ("access", "refresh", "visit", "challenge", "said"):
            browser.client.cookies.set(f"gigs-{name}", junk, domain="gigs.local")
        assert "/login" in (await browser.open("/wallet")).forms
        await browser.open("/login/code")
        assert "Ask for a new code" in (await browser.send("/login/code", status=400, code="123456")).text
        await browser.send("/login/code", status=400, again="1")


async def test_bodies_that_are_no_forms_are_refused_on_a_page(owner: Browser) -> None:
    bad = {"application/json": b"{}", "multipart/form-data; boundary=x": b"junk", "multipart/form-data": b"junk"}
    for kind, body in {**bad, "application/x-www-form-urlencoded": b"%ff=%00&seal=%ed%a0%80"}.items():
        answer = await owner.client.post("/wallet", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 403)
        assert answer.headers["content-type"].startswith("text/html")


async def test_programs_get_problems_still(owner: Browser) -> None:
    answer = await owner.client.get("/nowhere")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_session_goes_on_past_its_token_and_ends_with_its_logout(owner: Browser) -> None:
    cookies = owner.client.cookies
    before = cookies["gigs-access"]
    cookies.delete("gigs-access", domain="gigs.local")
    assert "₦50,000" in (await owner.open("/wallet")).text
    assert cookies["gigs-access"] != before
    assert (await owner.client.get("/live/token")).json() == {"token": cookies["gigs-access"]}
    refresh = cookies["gigs-refresh"]
    await owner.send("/logout")
    cookies.set("gigs-refresh", refresh, domain="gigs.local")
    assert (await owner.client.get("/live/token")).json() == {"token": ""}
    assert (await owner.open("/wallet")).forms.keys() == {"/login"}


async def test_cookies_over_https_are_held_to_the_host(app: Any) -> None:
    browser = Browser(app, "https")
    await browser.open("/login")
    sent = browser.answer.headers.get_list("set-cookie")
    assert all(each.startswith("__Host-gigs-") for each in sent)
    assert all("Secure" in each and "HttpOnly" in each and "SameSite=lax" in each for each in sent)


async def test_a_page_tells_its_script_where_it_stands(app: Any, owner: Browser) -> None:
    await posted(owner)
    backend = app.state.backend
    await owner.open("/wallet")
    here = await backend.notices.position(user_id=1)
    assert f"notices:1&#34;: &#34;{here}" in owner.answer.text
    await backend.notices.publish(Notice("gig_taken", "one more"), user_id=1)
    assert f"{here}&#34;" not in (await owner.open("/notices") and owner.answer.text)


async def test_while_redis_is_away_a_page_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSTLEX_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("HUSTLEX_SECRET", SECRET.decode())
    monkeypatch.setenv("HUSTLEX_DATA", str(tmp_path))
    app = create_app()
    async with app.router.lifespan_context(app):
        browser = Browser(app)
        careful(browser, await browser.open("/", status=503))
        assert "We will be right back" in browser.answer.text
        assert int(browser.answer.headers["retry-after"]) > 0


def test_amounts_are_read_as_people_write_them() -> None:
    written = {"15,000": 1_500_000, " 15000 ": 1_500_000, "₦2,500.5": 250_050, "NGN 1": 100, "0.01": 1}
    for text, kobo in written.items():
        form, faults = forms.read_transfer({"phone": "0803-123 4567", "amount": text})
        assert form == forms.TransferForm("+2348031234567", kobo), faults
    for text in ("", "-1", "1.234", "1e3", "0", "1,00", "ten", "10,000,000.01", "9" * 400):
        assert forms.read_transfer({"phone": OWNER, "amount": text})[0] is None
    assert [naira(kobo) for kobo in (0, 5, 100, -123_456, 1_500_000)] == ["₦0", "₦0.05", "₦1", "-₦1,234.56", "₦15,000"]


def test_the_login_leads_to_own_pages_only() -> None:
    for elsewhere in ("//evil.example", "https://evil.example", "/\\evil", "javascript:1", "", "/a?b", "x", "/a//b"):
        assert forms.own_path(elsewhere) == "/"
    assert forms.own_path("/gig/7") == "/gig/7"
