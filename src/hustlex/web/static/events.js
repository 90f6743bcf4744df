// @ts-check
/**
 * Live events from `hustlex.web.events_router`: one WebSocket for any number of channels, resumed after every break.
 *
 *     import { Events } from "/events/client.js";
 *     const events = new Events("/events/socket", { token: async () => localStorage.access });
 *     const stop = events.subscribe("orders:42", (message) => show(message.data), { gap: () => reload() });
 *
 * @typedef {{ e: string, o: number }} Position
 * @typedef {{ ch: string, data: any, ts: number, e?: string, o?: number, snapshot?: boolean, unknown?: boolean }} Message
 * @typedef {{ ch: string, reason: string, recovered: false, e?: string, o?: number }} Gap
 * @typedef {{ code: number, message: string, temporary: boolean }} Refusal
 * @typedef {"connecting" | "open" | "closed" | "stopped"} State
 * @typedef {object} Handlers What is told of a channel beside its messages.
 * @property {(gap: Gap) => void} [gap] Messages may be missing: load the state again.
 * @property {(refusal: Refusal) => void} [refused] The channel is not there, or not allowed (any more).
 * @property {Position} [since] Go on from behind this position.
 * @typedef {object} Options
 * @property {() => string | Promise<string>} [token] The access token, asked for at each connection and before it ends.
 * @property {(ch: string) => string | Promise<string>} [subscriptionToken] The token for a channel, asked for before each
 *   subscription and before it ends; "" where there is none. Throw while it cannot be had: it is asked for again.
 * @property {string} [share] Whose connection it is, as the user's id: tabs of the same user share one. Default: none do.
 * @property {(state: State, code: number) => void} [state] The connection opened, was lost, or was refused for good.
 * @property {number} [hiddenMs] How long a page that nobody looks at keeps its connection. Default: a minute.
 * @property {number} [longestDelayMs] The longest pause before it connects again. Default: 20 seconds.
 */

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 20_000;
const HIDDEN_MS = 60_000;
const RENEW_BEFORE_S = 20;
const INVALID_TOKEN = 4500;
const SUBSCRIPTION_EXPIRED = 109;

export class Events {
  /** @type {Map<string, { position?: Position, told: Map<(message: Message) => void, Handlers> }>} */
  #channels = new Map();
  /** @type {Link | null} */
  #link = null;
  /** @type {BroadcastChannel | null} */
  #bus = null;
  /** @type {Map<string, { resolve: (answer: any) => void, reject: (error: any) => void }>} */
  #asked = new Map();
  #tab = crypto.randomUUID();
  #release = () => {};
  #hiding = 0;
  #closed = false;
  #leading = false;
  #url;
  #options;

  /** @param {string} url @param {Options} [options] */
  constructor(url, options = {}) {
    this.#url = new URL(url, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = options;
    if (options.share && "BroadcastChannel" in globalThis && navigator.locks) {
      this.#bus = new BroadcastChannel(this.#name());
      this.#bus.onmessage = (event) => this.#overheard(event.data);
      addEventListener("pagehide", () => this.#tell({ drop: [...this.#channels.keys()], tab: this.#tab }));
    }
    document.addEventListener("visibilitychange", () => this.#looked());
    addEventListener("online", () => this.#link?.now());
    this.#lead();
  }

  /** Whether this tab has the connection, for itself or for others too. */
  get leading() {
    return this.#link !== null;
  }

  /**
   * Hear a channel. Returns how to stop.
   * @param {string} ch @param {(message: Message) => void} tell @param {Handlers} [handlers]
   */
  subscribe(ch, tell, handlers = {}) {
    const known = this.#channels.get(ch);
    const channel = known ?? { position: handlers.since, told: new Map() };
    channel.told.set(tell, handlers);
    this.#channels.set(ch, channel);
    if (!known) this.#want(ch);
    return () => {
      channel.told.delete(tell);
      if (channel.told.size > 0 || this.#channels.get(ch) !== channel) return;
      this.#channels.delete(ch);
      if (this.#link) this.#link.drop(ch, this.#tab);
      else this.#tell({ drop: [ch], tab: this.#tab });
    };
  }

  /**
   * Publish, where that is allowed. idem: an id, with which it may be repeated.
   * @param {string} ch @param {any} data @param {string} [idem]
   */
  publish(ch, data, idem) {
    return this.#request({ publish: { ch, data, ...(idem ? { idem } : {}) } });
  }

  /** What is kept, oldest first. @param {string} ch @param {{ limit?: number, since?: Position }} [which] */
  history(ch, which = {}) {
    return this.#request({ history: { ch, ...which } });
  }

  /** Who hears a channel, and how many: connections and users. @param {string} ch @param {number} [limit] */
  presence(ch, limit = 100) {
    return this.#request({ presence: { ch, limit } });
  }

  /** End it for this tab. */
  close() {
    this.#closed = true;
    this.#tell({ drop: [...this.#channels.keys()], tab: this.#tab });
    this.#release();
    this.#bus?.close();
  }

  #name() {
    return `hustlex events ${this.#url} ${this.#options.share}`;
  }

  /** @param {any} said */
  #tell(said) {
    this.#bus?.postMessage(said);
  }

  /** Open the connection; with others, as soon as none of them has it. */
  async #lead() {
    if (this.#leading || this.#closed) return;
    this.#leading = true;
    const released = new Promise((resolve) => (this.#release = () => resolve(undefined)));
    const hold = async () => {
      this.#link = new Link(this.#url, this.#options, (frame) => this.#arrived(frame, true));
      for (const [ch, { position }] of this.#channels) this.#link.want(ch, position, this.#tab);
      this.#tell({ leads: this.#tab });
      await released;
      this.#link.end();
      this.#link = null;
    };
    const abort = new AbortController();
    const release = this.#release;
    this.#release = () => (release(), abort.abort());
    try {
      await (this.#bus ? navigator.locks.request(this.#name(), { signal: abort.signal }, hold) : hold());
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    } finally {
      this.#leading = false;
    }
  }

  /** A page that nobody looks at gives the connection up after a while, to another tab or for good. */
  #looked() {
    clearTimeout(this.#hiding);
    if (document.visibilityState === "hidden") {
      this.#hiding = setTimeout(() => this.#release(), this.#options.hiddenMs ?? HIDDEN_MS);
    } else {
      this.#lead();
    }
  }

  /** @param {string} ch */
  #want(ch) {
    const since = this.#channels.get(ch)?.position;
    if (this.#link) this.#link.want(ch, since, this.#tab);
    else this.#tell({ want: ch, since, tab: this.#tab });
  }

  /** @param {object} frame */
  #request(frame) {
    if (this.#link) return this.#link.request(frame);
    if (!this.#bus) return Promise.reject(new Error("the connection is closed"));
    const id = crypto.randomUUID();
    this.#tell({ ask: id, frame });
    return new Promise((resolve, reject) => this.#asked.set(id, { resolve, reject }));
  }

  /** What another tab says. @param {any} said */
  #overheard(said) {
    if (said.frame && !said.ask) this.#arrived(said.frame, false);
    else if (said.leads) for (const ch of this.#channels.keys()) this.#want(ch);
    else if (said.answer) this.#answered(said);
    else if (!this.#link) return;
    else if (said.want) this.#link.want(said.want, said.since, said.tab);
    else if (said.drop) for (const ch of said.drop) this.#link.drop(ch, said.tab);
    else if (said.ask) {
      const reply = (/** @type {object} */ outcome) => this.#tell({ answer: said.ask, ...outcome });
      this.#link.request(said.frame).then((value) => reply({ value }), (error) => reply({ error: String(error.message) }));
    }
  }

  /** @param {{ answer: string, value?: any, error?: string }} said */
  #answered({ answer, value, error }) {
    const waiting = this.#asked.get(answer);
    this.#asked.delete(answer);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(new Error(error));
  }

  /** Hand on what the server sent, each message once. @param {any} frame @param {boolean} own */
  #arrived(frame, own) {
    if (own) this.#tell({ frame });
    const about = frame.push ?? frame.gap ?? frame.refused;
    const channel = this.#channels.get(about.ch);
    if (!channel) return;
    const seen = channel.position;
    if (frame.push && about.e && seen && seen.e === about.e && about.o <= seen.o) return;
    if (about.e) channel.position = { e: about.e, o: about.o };
    for (const [tell, { gap, refused }] of [...channel.told]) {
      if (frame.push) tell(about);
      else if (frame.gap) gap?.(about);
      else refused?.(about);
    }
  }
}

/** How long until a token that ends so soon is renewed. @param {number} expires_in */
const pauseMs = (expires_in) => Math.min(Math.max(expires_in / 2, expires_in - RENEW_BEFORE_S) * 1000, 2 ** 31 - 1);

/** One WebSocket, opened again after every break, with the channels that somebody wants. */
class Link {
  /** @type {Map<string, { position?: Position, tabs: Set<string> }>} */
  #wanted = new Map();
  /** @type {Map<number, { resolve: (answer: any) => void, reject: (error: any) => void }>} */
  #waiting = new Map();
  /** @type {Map<string, number>} When tokens are renewed: of channels, and "" of the connection. */
  #renewals = new Map();
  /** @type {WebSocket | null} */
  #socket = null;
  #open = false;
  #ended = false;
  #number = 0;
  #failures = 0;
  #refused = 0;
  #timer = 0;

  /** @param {URL} url @param {Options} options @param {(frame: any) => void} tell */
  constructor(url, options, tell) {
    this.url = url;
    this.options = options;
    this.tell = tell;
    this.#connect();
  }

  /** @param {string} ch @param {Position | undefined} since @param {string} tab */
  want(ch, since, tab) {
    const wanted = this.#wanted.get(ch);
    if (!wanted) {
      this.#wanted.set(ch, { position: since, tabs: new Set([tab]) });
      if (this.#open) this.#subscribe(ch);
      return;
    }
    wanted.tabs.add(tab);
    if (since && this.#open) this.#fill(ch, since);
  }

  /** @param {string} ch @param {string} tab */
  drop(ch, tab) {
    const wanted = this.#wanted.get(ch);
    if (!wanted?.tabs.delete(tab) || wanted.tabs.size > 0) return;
    this.#forget(ch);
    if (this.#open) this.request({ unsubscribe: { ch } }).catch(() => {});
  }

  /** Send a command and wait for its answer. @param {object} command @returns {Promise<any>} */
  request(command) {
    if (!this.#open && !("connect" in command)) return Promise.reject(new Error("the connection is closed"));
    const id = ++this.#number;
    this.#socket?.send(JSON.stringify({ id, ...command }));
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  /** Connect without waiting any longer. */
  now() {
    if (this.#socket || this.#ended) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  end() {
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#stopRenewing();
    this.#socket?.close(1000);
  }

  #connect() {
    this.options.state?.("connecting", 0);
    const socket = (this.#socket = new WebSocket(this.url));
    socket.onopen = () => this.#begin();
    socket.onmessage = (event) => this.#read(JSON.parse(event.data));
    socket.onclose = (event) => this.#lost(event.code);
  }

  async #token() {
    return (await this.options.token?.()) ?? "";
  }

  async #begin() {
    try {
      const { expires_in } = await this.request({ connect: { token: await this.#token() } });
      this.#open = true;
      this.#failures = this.#refused = 0;
      this.options.state?.("open", 0);
      for (const ch of this.#wanted.keys()) this.#subscribe(ch);
      this.#renew("", expires_in);
    } catch {
      this.#socket?.close(1000);
    }
  }

  /** Show a new token before the old one ends. @param {string} ch @param {number | undefined} expires_in */
  #renew(ch, expires_in) {
    if (expires_in === undefined) return;
    clearTimeout(this.#renewals.get(ch));
    const renew = async () => {
      try {
        const token = ch ? await this.options.subscriptionToken?.(ch) : await this.#token();
        const renewed = await this.request({ refresh: { token, ...(ch && { ch }) } });
        this.#renew(ch, renewed.expires_in);
      } catch {
        if (!ch) this.#socket?.close(1000); // of a channel the server says when it is over
      }
    };
    this.#renewals.set(ch, setTimeout(renew, pauseMs(expires_in)));
  }

  #stopRenewing() {
    for (const timer of this.#renewals.values()) clearTimeout(timer);
    this.#renewals.clear();
  }

  /** @param {string} ch */
  #forget(ch) {
    this.#wanted.delete(ch);
    clearTimeout(this.#renewals.get(ch));
    this.#renewals.delete(ch);
  }

  /** @param {string} ch */
  async #subscribe(ch) {
    const wanted = this.#wanted.get(ch);
    if (!wanted) return;
    const socket = this.#socket;
    try {
      const token = this.options.subscriptionToken ? await this.options.subscriptionToken(ch) : "";
      if (this.#socket !== socket || this.#wanted.get(ch) !== wanted) return; // somebody else asks for it now
      const more = { ...(token && { token }), ...(wanted.position && { since: wanted.position }) };
      const here = await this.request({ subscribe: { ch, ...more } });
      if (here.e !== undefined && !wanted.position) wanted.position = { e: here.e, o: here.o };
      if (this.#wanted.get(ch) === wanted) this.#renew(ch, here.expires_in);
    } catch (error) {
      if (this.#socket !== socket) return; // the link broke: it is asked again
      const refusal = /** @type {any} */ (error).refusal;
      if (refusal && !refusal.temporary && refusal.code !== SUBSCRIPTION_EXPIRED) this.#refuse(ch, refusal);
      else setTimeout(() => this.#open && this.#socket === socket && this.#subscribe(ch), FIRST_DELAY_MS + Math.random() * 2000);
    }
  }

  /** What a tab that comes late has missed of a channel that is heard already. @param {string} ch @param {Position} since */
  async #fill(ch, since) {
    try {
      const { msgs } = await this.request({ history: { ch, since } });
      for (const message of msgs) this.tell({ push: { ch, ...message } });
    } catch {
      this.tell({ gap: { ch, reason: "epoch", recovered: false } });
    }
  }

  /** @param {string} ch @param {Refusal} refusal */
  #refuse(ch, refusal) {
    this.#forget(ch);
    this.tell({ refused: { ch, ...refusal } });
  }

  /** @param {any} frame */
  #read(frame) {
    const about = frame.push ?? frame.gap;
    if (about) {
      const wanted = this.#wanted.get(about.ch);
      if (wanted && about.e !== undefined) wanted.position = { e: about.e, o: about.o };
      this.tell(frame);
    } else if (frame.unsubscribed) {
      const { ch, code } = frame.unsubscribed;
      if (code === SUBSCRIPTION_EXPIRED) this.#subscribe(ch);
      else this.#refuse(ch, { ...frame.unsubscribed, temporary: false });
    } else if (frame.id) {
      const waiting = this.#waiting.get(frame.id);
      this.#waiting.delete(frame.id);
      const { id, error, ...answer } = frame;
      if (error) waiting?.reject(Object.assign(new Error(error.message), { refusal: error }));
      else waiting?.resolve(Object.values(answer)[0]);
    } else {
      this.#socket?.send("{}"); // a ping
    }
  }

  /** @param {number} code */
  #lost(code) {
    this.#socket = null;
    this.#open = false;
    this.#stopRenewing();
    for (const { reject } of this.#waiting.values()) reject(new Error("the connection was lost"));
    this.#waiting.clear();
    if (this.#ended) return;
    // From 4500 on the server will not have it; a token that was refused is asked for once more.
    if (code >= INVALID_TOKEN && (code > INVALID_TOKEN || this.#refused++ > 0)) {
      this.options.state?.("stopped", code);
      return;
    }
    this.options.state?.("closed", code);
    const most = Math.min(this.options.longestDelayMs ?? LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** ++this.#failures);
    this.#timer = setTimeout(() => this.#connect(), FIRST_DELAY_MS + Math.random() * most);
  }
}
