// What the console does beyond forms and links: open pages stay fresh, keys, light and dark, the sign-in link.
"use strict";
(() => {
  const policy = window.trustedTypes ? trustedTypes.createPolicy("hustlex", { createHTML: (html) => html }) : null;
  const trusted = (html) => (policy ? policy.createHTML(html) : html);
  const main = document.getElementById("main");
  const state = document.getElementById("state");
  const root = document.body.dataset.root || "";

  // Light and dark: as the system says, until somebody chooses.
  const theme = localStorage.getItem("hustlex-theme");
  if (theme) document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.hidden = false;
    button.addEventListener("click", switchTheme);
  }
  function switchTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme || (dark ? "dark" : "light");
    document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
    localStorage.setItem("hustlex-theme", document.documentElement.dataset.theme);
  }

  // The link that `hustlex dashboard` prints carries the token behind "#": no server and no log ever sees it there.
  const enter = document.querySelector("[data-enter]");
  if (enter && location.hash.length > 1) {
    enter.elements.token.value = decodeURIComponent(location.hash.slice(1));
    history.replaceState(null, "", location.pathname);
    enter.requestSubmit();
    return;
  }

  // Moments are counted on between two renderings.
  const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];
  function span(seconds) {
    if (seconds < 10) return `${seconds.toFixed(1)} s`;
    let left = Math.round(seconds);
    const parts = [];
    for (const [unit, length] of UNITS) {
      if (left >= length || parts.length) { parts.push([Math.floor(left / length), unit]); left %= length; }
    }
    return parts.slice(0, 2).filter(([count]) => count).map((part) => part.join(" ")).join(" ") || "0 s";
  }
  // Moments in the zone of who looks; the server's words, in UTC, stay beside them.
  const CLOCK = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
  const zone = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short" }).formatToParts().at(-1).value;
  const clocks = () => localStorage.getItem("hustlex-times") === "clock";
  function count() {
    for (const time of main.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime), away = (at - Date.now()) / 1000;
      if (!time.dataset.utc) {
        time.dataset.utc = time.title;
        time.title = `${CLOCK.format(at)} ${zone}, ${time.title}`;
      }
      const near = away > 0 ? `in ${span(away)}` : away < -1 ? `${span(-away)} ago` : "now";
      time.textContent = clocks() ? CLOCK.format(at) : near;
    }
  }
  document.querySelector(".again")?.remove(); // we see to that
  for (const clock of document.querySelectorAll(".clock")) {
    clock.title = clock.textContent;
    clock.textContent = `${CLOCK.format(new Date(clock.dataset.at)).split(", ")[1]} ${zone}`;
  }
  for (const button of document.querySelectorAll("[data-clock-switch]")) {
    const name = () => { button.textContent = clocks() ? "Times as they pass" : "Times by the clock"; };
    button.hidden = false;
    button.addEventListener("click", () => {
      localStorage.setItem("hustlex-times", clocks() ? "" : "clock");
      name();
      count();
    });
    name();
  }
  count();
  setInterval(count, 1000);

  // A browser tells its own streams apart from those of others: it may have four at a time.
  let browser = localStorage.getItem("hustlex-browser");
  if (!browser) localStorage.setItem("hustlex-browser", browser = Math.random().toString(36).slice(2));

  // Open pages. Nothing moves under the hand: while somebody points at a table, types or has selected something,
  // what is new waits behind a button.
  let source = null, failures = 0, waiting = null, pointed = false, hiddenAt = 0;
  const busy = () => pointed || (main.contains(document.activeElement) && document.activeElement !== main)
    || !getSelection().isCollapsed || main.querySelector("details[open]");
  main.addEventListener("pointerover", (event) => { pointed = Boolean(event.target.closest("table, .acts")); });
  main.addEventListener("pointerleave", () => { pointed = false; if (waiting !== null && !busy()) show(waiting); });

  function show(html) {
    waiting = null;
    const next = document.createElement("main");
    next.innerHTML = trusted(html);
    const before = new Map([...main.querySelectorAll("[data-key]")].map((row) => [row.dataset.key, row.textContent]));
    for (const row of next.querySelectorAll("[data-key]")) {
      if (before.has(row.dataset.key) && before.get(row.dataset.key) !== row.textContent) row.classList.add("fresh");
    }
    const top = scrollY;
    main.replaceChildren(...next.childNodes);
    count();
    scrollTo(0, top);
  }
  function offer(html) {
    const known = waiting !== null;
    waiting = html;
    if (known) return;
    const button = document.createElement("button");
    button.className = "waiting";
    button.textContent = "Something changed: show";
    button.addEventListener("click", () => { show(waiting); main.focus({ preventScroll: true }); });
    main.prepend(button);
  }
  function say(word, on) {
    if (!state) return;
    state.textContent = word;
    state.className = `state ${on ? "on" : "off"}`;
  }
  function giveWay(words) {
    say(`${words} · `, false);
    const button = document.createElement("button");
    button.className = "resume";
    button.textContent = "resume here";
    button.addEventListener("click", () => { main.focus({ preventScroll: true }); open(); });
    state.append(button);
  }
  function open() {
    if (source || document.hidden || localStorage.getItem("hustlex-live") === "off") return;
    const path = location.pathname.slice(root.replace(/\/live$/, "").length) || "/";
    const asked = new URLSearchParams({ path: path + location.search, browser });
    source = new EventSource(`${document.body.dataset.live}?${asked}`);
    source.addEventListener("open", () => { failures = 0; say("live", true); });
    source.addEventListener("main", (event) => { say("live", true); busy() ? offer(event.data) : show(event.data); });
    source.addEventListener("trouble", (event) => say(event.data, false));
    source.addEventListener("bye", (event) => { close(); say(event.data, false); });
    source.addEventListener("again", () => { close(); open(); });
    source.addEventListener("elsewhere", (event) => { close(); giveWay(event.data); });
    source.addEventListener("error", () => {
      close();
      failures += 1;
      say("not live", false);
      setTimeout(open, Math.min(30000, 3000 * 2 ** Math.min(failures - 1, 4)) * (0.8 + 0.4 * Math.random()));
    });
  }
  function close() { if (source) source.close(); source = null; }
  function toggle() {
    const off = localStorage.getItem("hustlex-live") !== "off";
    localStorage.setItem("hustlex-live", off ? "off" : "on");
    if (off) { close(); say("not live", false); } else open();
  }
  if (document.body.dataset.live) {
    localStorage.getItem("hustlex-live") === "off" ? say("not live", false) : open();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { hiddenAt = setTimeout(close, 10000); } else { clearTimeout(hiddenAt); open(); }
    });
    addEventListener("pagehide", close);
  }

  // Keys: "/" jumps to the search, "g" and a letter to a page, "j" and "k" through rows, "l" live, "t" theme, "?" help.
  // Who speaks to the computer, or rests a hand on it, turns them off.
  const help = document.getElementById("keys"), keyless = () => localStorage.getItem("hustlex-keys") === "off";
  for (const button of document.querySelectorAll("[data-keys]")) {
    button.hidden = false;
    button.addEventListener("click", () => help.showModal());
  }
  const keys = document.querySelector("[data-keys-switch]");
  const name = () => { keys.textContent = keyless() ? "Turn the keys on" : "Turn the keys off"; };
  keys?.addEventListener("click", () => { localStorage.setItem("hustlex-keys", keyless() ? "on" : "off"); name(); });
  if (keys) name();
  let going = false, row = -1;
  addEventListener("keydown", (event) => {
    if (!help || help.open || keyless()) return;
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    const rows = [...main.querySelectorAll("tbody tr a[href]:first-of-type")].filter((link) => link.closest("th"));
    if (going) {
      going = false;
      const link = document.querySelector(`[data-key-go="${CSS.escape(event.key)}"]`);
      if (link) link.click();
    } else if (event.key === "/") { event.preventDefault(); document.getElementById("jump")?.focus(); }
    else if (event.key === "g") { going = true; setTimeout(() => { going = false; }, 1500); }
    else if (event.key === "j" && rows.length) { row = Math.min(row + 1, rows.length - 1); rows[row].focus(); }
    else if (event.key === "k" && rows.length) { row = Math.max(row - 1, 0); rows[row].focus(); }
    else if (event.key === "[") { document.querySelector("a[rel=prev]")?.click(); }
    else if (event.key === "]") { document.querySelector("a[rel=next]")?.click(); }
    else if (event.key === "l" && document.body.dataset.live) toggle();
    else if (event.key === "t") switchTheme();
    else if (event.key === "r") location.reload();
    else if (event.key === "?") help.showModal();
  });
})();
