// @ts-check
// What the page shows stays true: an event says that something is another one, and the page asks the server for it anew.
import { Events } from "/events/client.js";

const TOAST_MS = 6000;
const SOON_MS = 60;
const SPREAD_MS = 400; // everybody hears of a new gig at once; they need not all ask at once

/** @param {string} id */
const byId = (id) => document.getElementById(id);
let due = 0;

/** Ask for this page again and take over what may have changed; what somebody is typing into is left alone. */
async function renew() {
  due = 0;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(old.id);
    if (!now || now.isEqualNode(old) || old.contains(document.activeElement)) continue;
    old.replaceWith(document.adoptNode(now));
    now.classList.add("moved");
  }
  document.documentElement.dataset.renewed = String(Number(document.documentElement.dataset.renewed ?? 0) + 1);
}

/** @param {number} spread */
function soon(spread) {
  due ||= setTimeout(() => renew().catch(() => {}), SOON_MS + Math.random() * spread);
}

/** @param {string} text */
function toast(text) {
  const line = document.createElement("div");
  line.className = "toast";
  line.textContent = text;
  byId("toasts")?.append(line);
  setTimeout(() => line.remove(), TOAST_MS);
}

/** Seconds that run down; then the button works again. */
function count() {
  for (const place of document.querySelectorAll("[data-wait]")) {
    const end = performance.now() + Number(place.getAttribute("data-wait")) * 1000;
    const button = place.closest("form")?.querySelector("[data-until-wait]");
    button?.setAttribute("disabled", "");
    const tick = setInterval(() => {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1000));
      place.textContent = `${left} ${left === 1 ? "second" : "seconds"}`;
      if (left > 0) return;
      clearInterval(tick);
      button?.removeAttribute("disabled");
      if (place.parentElement) place.parentElement.textContent = "You can try again now.";
    }, 250);
  }
}

async function token() {
  const answer = await fetch("/live/token", { headers: { Accept: "application/json" } });
  return (await answer.json()).token;
}

/** Where a channel stood when the page was made, so that nothing is missed since. @param {string} text */
function position(text) {
  const dot = text.lastIndexOf(".");
  return { e: text.slice(0, dot), o: Number(text.slice(dot + 1)) };
}

function listen() {
  const line = byId("line");
  const events = new Events("/events/socket", {
    token,
    state: (state) => {
      if (!line) return;
      line.hidden = false;
      line.classList.toggle("away", state !== "open");
      line.textContent = state === "open" ? "Live" : "Connecting";
    },
  });
  const heard = (/** @type {any} */ { data }) => {
    toast(data.text);
    const news = byId("news");
    if (news) news.hidden = location.pathname === "/notices";
    soon(0);
  };
  for (const [ch, since] of Object.entries(JSON.parse(document.body.dataset.heard ?? "{}"))) {
    const spread = ch.startsWith("notices:") ? 0 : SPREAD_MS;
    const tell = ch.startsWith("notices:") ? heard : () => soon(SPREAD_MS);
    events.subscribe(ch, tell, { since: position(since), gap: () => soon(spread) });
  }
}

count();
listen();
