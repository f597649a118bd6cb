// What people do and what the server says, turned into calls, commands and actions. The only place with side effects on data.

import { Api } from "./api.js";
import { stopReason } from "./retry.js";
import { Socket } from "./socket.js";
import { initial, reduce, staleRooms } from "./state.js";

const PAGE = 50;
const TYPING_EVERY_MS = 3_000;
const READ_AFTER_MS = 250;
const MEMBERS_AFTER_MS = 200;

/** Holds the state; `subscribe(listener)` is called with it after changes, `onNote` with sentences for people. */
export class Client {
  state = initial;
  onNote = () => {};
  onNotification = () => {};
  #listeners = [];
  #scheduled = false;
  #resuming = false;
  #typedAt = 0;
  #viewed = null;
  #reading = null;
  #asking = null;

  constructor() {
    this.api = new Api({ onSignedOut: (problem) => this.#signedOut(problem.detail) });
    this.socket = new Socket(this.api, {
      onFrame: (frame) => this.#frame(frame),
      onStatus: (status, { retryAt } = {}) => this.#status(status, retryAt),
      onStopped: (code) => this.#stopped(code),
    });
    document.addEventListener("visibilitychange", () => this.#look());
    setInterval(() => this.#tick(), 1_000);
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }

  dispatch(action) {
    const before = this.state;
    this.state = reduce(before, action);
    if (this.state === before || this.#scheduled) return;
    this.#scheduled = true;
    const soon = document.visibilityState === "visible" ? requestAnimationFrame : (work) => setTimeout(work, 100);
    soon(() => {
      this.#scheduled = false;
      for (const listener of this.#listeners) listener(this.state);
    });
  }

  get room() {
    return this.state.rooms[this.state.open] ?? null;
  }

  // Coming and going

  /** Pick up the session this tab or this device had, if there was one. */
  async restore() {
    if (!this.api.remembered) return;
    try {
      const tokens = await this.api.renew();
      this.#enter(tokens.user ?? (await this.api.me()).user);
    } catch (problem) {
      if (problem.status !== 401) setTimeout(() => this.restore(), 2_000);
    }
  }

  async signIn(form) {
    this.#enter(await this.api.signIn(form));
  }

  #enter(user) {
    this.dispatch({ type: "signed_in", user });
    this.socket.start();
  }

  async signOut() {
    this.socket.stop();
    await this.api.logout().catch(() => {});
    this.#signedOut(null);
  }

  async eraseAccount(password) {
    await this.api.eraseAccount(password);
    this.socket.stop();
    this.api.forget();
    this.#signedOut("Your account is erased.");
  }

  #signedOut(notice) {
    this.socket.stop();
    this.dispatch({ type: "signed_out", notice });
  }

  #stopped(code) {
    this.api.forget();
    this.#signedOut(stopReason(code));
  }

  #status(status, retryAt) {
    if (status !== "online") this.#viewed = null;
    this.dispatch({ type: "connection", status, retryAt });
    if (status === "online") this.#catchUp();
  }

  // What the server says

  #frame(frame) {
    if (frame.type === "hello") this.#resuming = false;
    const stranger = frame.type === "member" && !(frame.room_id in this.state.rooms);
    const gone = this.#leaving(frame);
    this.dispatch({ type: "frame", frame, now: Date.now() });
    if (frame.type === "auth_expiring") this.#freshToken();
    if (frame.type === "notification") this.onNotification(frame);
    if (stranger) this.refreshRooms();
    else if (frame.type === "member" && frame.op === "join") this.#whoIsThere(frame.room_id);
    if (gone) this.onNote(gone);
    this.#resume();
    if (frame.type === "reset" || frame.type === "resumed") this.#load();
    if (frame.type === "message" && frame.room_id === this.state.open) this.markRead();
  }

  #leaving({ type, room_id, op, user }) {
    const name = this.state.rooms[room_id]?.name;
    if (!name || room_id !== this.state.open) return null;
    if (type === "room" && op === "delete") return `“${name}” was deleted.`;
    return type === "member" && op === "leave" && user.id === this.state.me.id ? `You are no longer in “${name}”.` : null;
  }

  async #freshToken() {
    const tokens = await this.api.renew().catch(() => null);
    if (tokens) await this.socket.ask("auth", { access_token: this.api.accessToken }).catch(() => {});
  }

  #catchUp() {
    this.refreshRooms();
    this.#look();
    this.#load();
    this.#resume();
    for (const room of Object.values(this.state.rooms)) {
      for (const message of room.pending) if (message.status === "waiting") this.#deliver(room.id, message);
    }
  }

  async #resume() {
    const stale = staleRooms(this.state);
    if (stale.length === 0 || this.#resuming || !this.socket.live) return;
    this.#resuming = true;
    const rooms = Object.fromEntries(stale.map(({ id, rev }) => [id, rev]));
    await this.socket.ask("resume", { epoch: this.state.epoch, rooms }).catch(() => {});
    this.#resuming = false;
  }

  async refreshRooms() {
    const answer = await this.api.myRooms().catch(() => null);
    if (answer && this.state.me) this.dispatch({ type: "my_rooms", rooms: answer.rooms });
  }

  // Looking at a room

  /** Look at a room, or at one that may be joined; false if there is no such room. */
  async open(id) {
    if (id !== null && !this.state.rooms[id]) return this.#offer(id);
    this.dispatch({ type: "open", id });
    this.#look();
    await this.#load();
    return true;
  }

  async #offer(id) {
    this.dispatch({ type: "open", id: null });
    try {
      const { room } = await this.api.room(id);
      if (room.id === id) this.dispatch({ type: "offer", room });
      return room.id === id;
    } catch (problem) {
      if (![400, 404].includes(problem.status)) return true; // perhaps: it cannot be asked just now
      this.onNote("That room does not exist any more.");
      return false;
    }
  }

  async #load() {
    const room = this.room;
    if (!room || !this.state.greeted) return;
    if (!room.loaded && !room.loading) await this.#page(room.id, "newest");
    if (this.state.rooms[room.id]?.members === null) await this.refreshMembers(room.id);
  }

  async #page(id, where) {
    const before = where === "older" ? this.state.rooms[id].messages[0]?.seq : undefined;
    this.dispatch({ type: "loading", id, loading: true });
    try {
      this.dispatch({ type: "page", id, where, page: await this.api.history(id, { limit: PAGE, before }) });
    } catch (problem) {
      if (problem.code !== "offline") this.onNote(problem.message);
    } finally {
      this.dispatch({ type: "loading", id, loading: false });
    }
    this.markRead();
    if (this.socket.live && id === this.state.open) await this.#load(); // again if the page came too late to fit
  }

  async loadOlder() {
    const room = this.room;
    if (room?.loaded && room.hasOlder && !room.loading) await this.#page(room.id, "older");
  }

  async refreshMembers(id) {
    const answer = await this.api.members(id).catch(() => null);
    if (answer) this.dispatch({ type: "members", id, members: answer.members });
  }

  // A `member` event does not say whether who joined is online; several that come together are asked about once.
  #whoIsThere(id) {
    this.#asking ??= setTimeout(() => {
      this.#asking = null;
      if (this.room?.members) this.refreshMembers(this.room.id);
    }, MEMBERS_AFTER_MS);
    if (id !== this.state.open) this.dispatch({ type: "members_unknown", id });
  }

  // `view` follows what is on the screen, so that messages elsewhere are notified.
  #look() {
    const looking = document.visibilityState === "visible" ? this.state.open : null;
    if (looking !== this.#viewed && this.socket.live) {
      this.#viewed = looking;
      this.socket.ask("view", { room_id: looking }).catch(() => {});
    }
    this.markRead();
  }

  /** True while the newest message of the open room is on the screen; the message list says so. */
  atEnd = true;

  markRead() {
    if (this.#reading) return;
    this.#reading = setTimeout(async () => {
      this.#reading = null;
      const room = this.room;
      const seen = room?.loaded && this.atEnd && document.visibilityState === "visible";
      if (!seen || room.readSeq >= room.seq || !this.socket.live) return;
      const read = await this.socket.ask("read", { room_id: room.id, seq: room.seq }).catch(() => null);
      if (read) this.dispatch({ type: "read", id: room.id, read });
    }, READ_AFTER_MS);
  }

  #tick() {
    if (this.room && Object.keys(this.room.typing).length > 0) this.dispatch({ type: "tick", now: Date.now() });
  }

  // Talking

  send(id, content) {
    const random = crypto.getRandomValues(new Uint8Array(12));
    const clientId = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const message = { clientId, content, at: new Date().toISOString() };
    this.#typedAt = 0;
    this.dispatch({ type: "queue", id, ...message });
    this.#deliver(id, message);
  }

  resend(id, clientId) {
    const message = this.state.rooms[id]?.pending.find((one) => one.clientId === clientId);
    if (message) this.#deliver(id, message);
  }

  discard(id, clientId) {
    this.dispatch({ type: "discard", id, clientId });
  }

  // The same `client_id` each time: however often it is tried, it is said once.
  async #deliver(id, { clientId, content }) {
    const mark = (status, problem = null) => this.dispatch({ type: "mark", id, clientId, status, problem });
    mark("sending");
    try {
      const ack = await this.socket.ask("message", { room_id: id, content, client_id: clientId });
      this.dispatch({ type: "delivered", id, message: ack.message });
    } catch (problem) {
      const later = problem.retryAfterMs ?? (problem.code === "internal" ? 2_000 : null);
      if (problem.code === "offline") return mark("waiting");
      if (later === null) return mark("failed", problem.message);
      mark("waiting");
      setTimeout(() => this.resend(id, clientId), later);
    }
    return undefined;
  }

  typing() {
    if (!this.state.open || Date.now() - this.#typedAt < TYPING_EVERY_MS) return;
    this.#typedAt = Date.now();
    this.socket.ask("typing", { room_id: this.state.open }).catch(() => {});
  }

  /** Add my reaction, or take it back if it is there. */
  async toggleReaction(id, messageId, emoji) {
    const message = this.state.rooms[id]?.messages.find((one) => one.id === messageId);
    const on = !message?.reactions[emoji]?.me;
    this.dispatch({ type: "react", id, messageId, emoji, on });
    try {
      await this.socket.ask(on ? "react" : "unreact", { message_id: messageId, emoji });
    } catch (problem) {
      this.dispatch({ type: "react", id, messageId, emoji, on: !on });
      this.onNote(problem.message);
    }
  }

  // Rooms

  async createRoom(name) {
    return this.#joined((await this.api.createRoom(name)).room);
  }

  async join(id) {
    return this.#joined((await this.api.join(id)).room);
  }

  #joined(room) {
    this.dispatch({ type: "joined", room });
    return room.id;
  }

  async leave(id) {
    await this.api.leave(id);
    this.dispatch({ type: "left", id });
  }

  async deleteRoom(id) {
    await this.api.deleteRoom(id);
    this.dispatch({ type: "left", id });
  }
}
