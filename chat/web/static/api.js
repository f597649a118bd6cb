// HTTP to the server: tokens, their renewal, and problems as errors.

const KEY = "chat.refresh_token";

/** What the server said was wrong; `code` is from the contract's closed list, `offline` if it could not be reached. */
export class Problem extends Error {
  constructor({ status = 0, code = "offline", detail = "The server cannot be reached.", field, retry_after_ms } = {}) {
    super(detail);
    Object.assign(this, { status, code, field, retryAfterMs: retry_after_ms });
  }
}

/** The calls of the contract. The access token lives in memory only; the refresh token as long as the tab. */
export class Api {
  #access = null;
  #renewing = null;
  #peers = typeof BroadcastChannel === "function" ? new BroadcastChannel("chat.session") : null;

  constructor({ onSignedOut }) {
    this.onSignedOut = onSignedOut;
    // A duplicated tab starts with a copy of the refresh token. A token used twice ends the session, so tabs share renewals.
    this.#peers?.addEventListener("message", ({ data }) => {
      if (data.was === this.#refreshToken) this.#take(data.tokens);
    });
  }

  get #refreshToken() {
    return sessionStorage.getItem(KEY);
  }

  get accessToken() {
    return this.#access;
  }

  get remembered() {
    return this.#refreshToken !== null;
  }

  #take(tokens) {
    this.#access = tokens.access_token;
    sessionStorage.setItem(KEY, tokens.refresh_token);
  }

  forget() {
    this.#access = null;
    sessionStorage.removeItem(KEY);
  }

  async register(username, password, invite) {
    const body = invite ? { username, password, invite } : { username, password };
    return this.#signIn("/auth/register", body);
  }

  async login(username, password) {
    return this.#signIn("/auth/login", { username, password });
  }

  async #signIn(path, body) {
    const tokens = await request("POST", path, { body });
    this.#take(tokens);
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
    const was = this.#refreshToken;
    const alone = navigator.locks ? (work) => navigator.locks.request("chat.renew", work) : (work) => work();
    return alone(async () => {
      if (this.#refreshToken !== was && this.#access) return { access_token: this.#access }; // another tab just did
      if (was === null) throw this.#signedOut(new Problem({ status: 401, code: "unauthorized", detail: "Please sign in." }));
      try {
        const tokens = await request("POST", "/auth/refresh", { body: { refresh_token: was } });
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
  endSession = (id) => this.call("DELETE", `/auth/sessions/${id}`);
  changePassword = (current_password, new_password) =>
    this.call("POST", "/auth/password", { body: { current_password, new_password } });
  eraseAccount = (password) => this.call("DELETE", "/me", { body: { password } });
  me = () => this.call("GET", "/me");
  myRooms = () => this.call("GET", "/me/rooms");
  findRooms = (query, cursor) => this.call("GET", "/rooms", { query: { query, cursor, limit: 30 } });
  room = (id) => this.call("GET", `/rooms/${id}`);
  createRoom = (name) => this.call("POST", "/rooms", { body: { name } });
  renameRoom = (id, name) => this.call("PATCH", `/rooms/${id}`, { body: { name } });
  deleteRoom = (id) => this.call("DELETE", `/rooms/${id}`);
  join = (id) => this.call("POST", `/rooms/${id}/join`);
  leave = (id) => this.call("POST", `/rooms/${id}/leave`);
  removeMember = (id, userId) => this.call("DELETE", `/rooms/${id}/members/${userId}`);
  history = (id, query) => this.call("GET", `/rooms/${id}/messages`, { query });
  members = (id) => this.call("GET", `/rooms/${id}/members`);
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
