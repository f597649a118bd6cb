// HTTP to the server: tokens, their renewal, and problems as errors.

const KEY = "chat.refresh_token";

/** What the server said was wrong; `code` is from the contract's closed list, `offline` if it could not be reached. */
export class Problem extends Error {
  constructor({ status = 0, code = "offline", detail = "The server cannot be reached.", field, retry_after_ms } = {}) {
    super(detail);
    Object.assign(this, { status, code, field, retryAfterMs: retry_after_ms });
  }
}

/** The calls of the contract. The access token lives in memory only; the refresh token as long as the tab, or the device. */
export class Api {
  #access = null;
  #user = null;
  #mine = null; // the refresh token that came with the access token
  #renewing = null;
  #peers = typeof BroadcastChannel === "function" ? new BroadcastChannel("chat.session") : null;

  constructor({ onSignedOut }) {
    this.onSignedOut = onSignedOut;
    // Tabs may hold the same refresh token. A token used twice ends the session, so tabs share renewals.
    this.#peers?.addEventListener("message", ({ data }) => {
      if ([data.was, data.tokens.refresh_token].includes(this.#refreshToken)) this.#take(data.tokens);
    });
  }

  /** Whether a session can outlast the tab: only where tabs can take turns at renewing it. */
  static canStay = Boolean(navigator.locks);

  // A tab with a session of its own keeps to it.
  get #store() {
    return sessionStorage.getItem(KEY) === null && Api.canStay ? localStorage : sessionStorage;
  }

  get #refreshToken() {
    return this.#store.getItem(KEY);
  }

  get accessToken() {
    return this.#access;
  }

  get remembered() {
    return this.#refreshToken !== null;
  }

  #take(tokens, store = this.#store) {
    this.#access = tokens.access_token;
    this.#user = tokens.user.id;
    this.#mine = tokens.refresh_token;
    store.setItem(KEY, tokens.refresh_token);
  }

  forget() {
    const another = this.#mine !== null && this.#mine !== this.#refreshToken; // signed in by another tab since
    if (!another) this.#store.removeItem(KEY);
    this.#access = this.#user = this.#mine = null;
  }

  /** Sign in, or make an account first (`isNew`); `stays`: until signed out, not only as long as the tab. */
  async signIn({ username, password, invite, isNew, stays }) {
    const body = isNew && invite ? { username, password, invite } : { username, password };
    const tokens = await request("POST", isNew ? "/auth/register" : "/auth/login", { body });
    sessionStorage.removeItem(KEY);
    this.#take(tokens, stays && Api.canStay ? localStorage : sessionStorage);
    return tokens.user;
  }

  /** Renew the access token; several callers share one renewal. Signs out if the server refuses it. */
  renew() {
    this.#renewing ??= this.#renewAlone().finally(() => {
      this.#renewing = null;
    });
    return this.#renewing;
  }

  async #renewAlone() {
    const had = this.#mine;
    const alone = navigator.locks ? (work) => navigator.locks.request("chat.renew", work) : (work) => work();
    return alone(async () => {
      const was = this.#refreshToken;
      if (was !== null && was !== had && was === this.#mine) return { access_token: this.#access }; // another tab just did
      if (was === null) throw this.#signedOut(new Problem({ status: 401, code: "unauthorized", detail: "Please sign in." }));
      try {
        const tokens = await request("POST", "/auth/refresh", { body: { refresh_token: was } });
        if (this.#user !== null && this.#user !== tokens.user.id) location.reload(); // someone else signed in here since
        this.#take(tokens);
        this.#peers?.postMessage({ was, tokens });
        return tokens;
      } catch (problem) {
        throw problem.status === 401 ? this.#signedOut(problem) : problem;
      }
    });
  }

  #signedOut(problem) {
    this.forget();
    this.onSignedOut(problem);
    return problem;
  }

  async logout() {
    try {
      await this.call("POST", "/auth/logout");
    } finally {
      this.forget();
    }
  }

  /** One authorised call; renews the access token once if it has expired. */
  async call(method, path, options = {}) {
    if (this.#access === null) await this.renew();
    try {
      return await request(method, path, { ...options, token: this.#access });
    } catch (problem) {
      if (problem.status !== 401 || problem.code === "bad_credentials") throw problem;
    }
    await this.renew();
    return request(method, path, { ...options, token: this.#access });
  }

  ticket = () => this.call("POST", "/auth/ws-ticket");
  sessions = () => this.call("GET", "/auth/sessions");
  endSession = (id) => this.call("DELETE", place`/auth/sessions/${id}`);
  changePassword = (current_password, new_password) =>
    this.call("POST", "/auth/password", { body: { current_password, new_password } });
  eraseAccount = (password) => this.call("DELETE", "/me", { body: { password } });
  me = () => this.call("GET", "/me");
  myRooms = () => this.call("GET", "/me/rooms");
  findRooms = (query, cursor) => this.call("GET", "/rooms", { query: { query, cursor, limit: 30 } });
  room = (id) => this.call("GET", place`/rooms/${id}`);
  createRoom = (name) => this.call("POST", "/rooms", { body: { name } });
  renameRoom = (id, name) => this.call("PATCH", place`/rooms/${id}`, { body: { name } });
  deleteRoom = (id) => this.call("DELETE", place`/rooms/${id}`);
  join = (id) => this.call("POST", place`/rooms/${id}/join`);
  leave = (id) => this.call("POST", place`/rooms/${id}/leave`);
  removeMember = (id, userId) => this.call("DELETE", place`/rooms/${id}/members/${userId}`);
  history = (id, query) => this.call("GET", place`/rooms/${id}/messages`, { query });
  members = (id) => this.call("GET", place`/rooms/${id}/members`);
}

/** A path with ids from anywhere: none can lead out of its place. */
function place(parts, ...ids) {
  return String.raw({ raw: parts }, ...ids.map((id) => encodeURIComponent(id).replace(/^\.+$/u, "none")));
}

/** One HTTP request; raises `Problem`. */
async function request(method, path, { body, query, token } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const address = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  const settings = { method, headers, credentials: "omit", cache: "no-store", signal: AbortSignal.timeout(20_000) };
  let answer;
  try {
    answer = await fetch(address, { ...settings, body: body && JSON.stringify(body) });
  } catch {
    throw new Problem();
  }
  if (answer.status === 204) return null;
  const value = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem({ code: "internal", detail: "The server had a problem.", ...value, status: answer.status });
  return value;
}
