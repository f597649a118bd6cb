// The live connection: opened with a one-time ticket, answered per command, and opened again as the close code advises.

import { Problem } from "./api.js";
import { adviceFor, backOffMs } from "./retry.js";

const HELLO_WITHIN_MS = 15_000;
const ANSWER_WITHIN_MS = 15_000;

/**
 * Calls `onFrame(frame)` for what the server sends, `onStatus("connecting" | "online" | "offline", {retryAt})` as it
 * changes, and `onStopped(code)` when the server says not to come back.
 */
export class Socket {
  #api;
  #handlers;
  #socket = null;
  #timer = null;
  #watch = null;
  #attempt = 0;
  #number = 0;
  #waiting = new Map();
  #heartbeatMs = 20_000;
  #wanted = false;

  constructor(api, handlers) {
    this.#api = api;
    this.#handlers = handlers;
    addEventListener("online", () => this.hurry());
    addEventListener("offline", () => this.live && this.#lost());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.hurry());
  }

  /** True from `hello` until the connection is lost. */
  get live() {
    return this.#socket?.greeted === true && this.#socket.readyState === WebSocket.OPEN;
  }

  start() {
    this.#wanted = true;
    this.#attempt = 0;
    this.#open();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#drop();
    socket?.close(1000);
  }

  /** Try again at once if a retry is being waited for. */
  hurry() {
    if (this.#wanted && this.#timer !== null) this.#open();
  }

  /** Send a command; resolves with its ack, rejects with `Problem` (code `offline` if the connection was lost). */
  ask(type, fields = {}) {
    return new Promise((resolve, reject) => {
      if (!this.live) return reject(new Problem());
      const id = `c${++this.#number}`;
      const timer = setTimeout(() => this.#lost(), ANSWER_WITHIN_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ type, id, ...fields }));
    });
  }

  async #open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#wanted || this.#socket) return;
    this.#socket = { readyState: WebSocket.CONNECTING }; // holds the place while the ticket is fetched
    const place = this.#socket;
    this.#handlers.onStatus("connecting");
    let ticket;
    try {
      ({ ticket } = await this.#api.ticket());
    } catch (problem) {
      if (this.#socket !== place) return;
      this.#socket = null;
      if (this.#api.remembered) this.#retry({ afterMs: problem.retryAfterMs ?? backOffMs(this.#attempt) });
      return;
    }
    if (this.#socket === place) this.#dial(ticket);
  }

  #dial(ticket) {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/chat?ticket=${encodeURIComponent(ticket)}`, ["chat.v1"]);
    this.#socket = socket;
    this.#expect(HELLO_WITHIN_MS);
    socket.addEventListener("message", ({ data }) => this.#socket === socket && this.#receive(JSON.parse(data)));
    socket.addEventListener("close", ({ code, reason }) => this.#socket === socket && this.#closed(code, reason));
  }

  #receive(frame) {
    if (frame.type === "hello") {
      this.#socket.greeted = true;
      this.#attempt = 0;
      this.#heartbeatMs = frame.heartbeat_ms;
      this.#handlers.onFrame(frame);
      this.#handlers.onStatus("online");
    } else if ("re" in frame) this.#answer(frame);
    else this.#handlers.onFrame(frame);
    this.#expect(this.#heartbeatMs * 1.5);
  }

  #answer(frame) {
    const asked = this.#waiting.get(frame.re);
    if (!asked) return;
    this.#waiting.delete(frame.re);
    clearTimeout(asked.timer);
    if (frame.type === "error") asked.reject(new Problem({ status: 400, ...frame }));
    else asked.resolve(frame);
  }

  // Browsers answer pings unseen by scripts, so a dead connection is found by asking when it has been quiet.
  #expect(withinMs) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      if (this.live) this.ask("ping").catch(() => {});
      else this.#lost();
    }, withinMs);
  }

  // A close handshake with a peer that is gone would take long: stop listening to it first.
  #lost() {
    const socket = this.#socket;
    this.#closed(1006, "");
    socket?.close?.();
  }

  #closed(code, reason) {
    const advice = adviceFor({ code, reason, attempt: this.#attempt });
    this.#drop();
    if (advice.stop) {
      this.#wanted = false;
      this.#handlers.onStopped(code);
    } else if (this.#wanted) this.#retry(advice);
  }

  #retry({ afterMs }) {
    this.#attempt += 1;
    this.#handlers.onStatus("offline", { retryAt: Date.now() + afterMs });
    this.#timer = setTimeout(() => this.#open(), afterMs);
  }

  #drop() {
    clearTimeout(this.#watch);
    this.#socket = null;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Problem());
    }
    this.#waiting.clear();
  }
}
