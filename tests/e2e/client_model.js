// A model of one room on a server, and a client of it that loses frames, connections and answers; run in the browser.

const ME = { id: "u_me", username: "me" };
const OTHER = { id: "u_other", username: "other" };
const EMOJI = ["☕", "👍", "🎉"];

function random(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

class Server {
  log = [];
  seq = 0;
  readSeq = 0;
  name = "cafe-☕";
  reactions = new Map(); // message id -> emoji -> set of user ids

  add(event) {
    this.log.push({ room_id: "r_1", rev: this.log.length + 1, ...event });
  }
  get rev() {
    return this.log.length;
  }
  say(sender, clientId) {
    this.seq += 1;
    const message = { id: `m_${this.seq}`, room_id: "r_1", seq: this.seq, rev: this.rev + 1, sender, content: `${this.seq}` };
    Object.assign(message, { timestamp: "2026-11-22T23:12:00.123Z", reactions: {} }, clientId && { client_id: clientId });
    if (sender === ME) this.readSeq = this.seq;
    this.add({ type: "message", message });
    return message;
  }
  react(user, number, emoji) {
    const id = `m_${number}`;
    const all = this.reactions.get(id) ?? this.reactions.set(id, new Map()).get(id);
    const users = all.get(emoji) ?? all.set(emoji, new Set()).get(emoji);
    const op = users.has(user.id) ? "remove" : "add";
    if (op === "add") users.add(user.id);
    else users.delete(user.id);
    this.add({ type: "reaction", message_id: id, emoji, user, op, count: users.size });
  }
  rename(name) {
    this.name = name;
    this.add({ type: "room", op: "rename", name });
  }
  page(limit, before = Infinity) {
    const all = this.log.filter(({ type, message }) => type === "message" && message.seq < before);
    const messages = all.slice(-limit).map(({ message }) => ({ ...message, reactions: this.shown(message.id) }));
    return { messages, has_more: all.length > limit, rev: this.rev };
  }
  shown(id) {
    const all = [...(this.reactions.get(id) ?? [])].filter(([, users]) => users.size);
    return Object.fromEntries(all.map(([emoji, users]) => [emoji, { count: users.size, me: users.has(ME.id) }]));
  }
  hello() {
    const facts = { room_id: "r_1", name: this.name, rev: this.rev, seq: this.seq, read_seq: this.readSeq };
    return { type: "hello", user: ME, epoch: "e", rooms: [{ ...facts, unread: this.seq - this.readSeq }] };
  }
}

const sorted = (value) => JSON.stringify(value, (_, item) => {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return item;
  return Object.fromEntries(Object.entries(item).sort(([one], [other]) => (one < other ? -1 : 1)));
});

/** Run one random conversation; returns null if the client's room equals the server's in the end, else what differs. */
function converse(seed, { initial, reduce, staleRooms }) {
  const pick = random(seed);
  const server = new Server();
  let state = reduce(initial, { type: "signed_in", user: ME });
  let wire = []; // sent by the server, not yet read
  let sent = 0; // revisions put on the wire
  let pages = []; // answers under way
  const act = (action) => (state = reduce(state, action));
  const frame = (one) => act({ type: "frame", frame: one, now: 0 });
  const connect = () => {
    frame(server.hello());
    wire = [];
    sent = server.rev;
    resume();
  };
  const resume = () => {
    for (const { rev } of staleRooms(state)) {
      if (pick(4) === 0) {
        wire.push({ type: "reset", room_id: "r_1", reason: "too_far", head_rev: server.rev });
        sent = server.rev;
        continue;
      }
      wire = wire.concat(server.log.slice(rev), { type: "resumed", room_id: "r_1", to: server.rev });
      sent = server.rev;
    }
  };
  const load = (where, before) => {
    act({ type: "loading", id: "r_1", loading: true });
    pages.push({ where, page: server.page(4, before) });
  };
  const arrive = () => {
    const answer = pages.shift();
    if (!answer) return;
    act({ type: "page", id: "r_1", ...answer });
    act({ type: "loading", id: "r_1", loading: false });
  };
  const deeds = [
    () => server.say(OTHER),
    () => server.say(OTHER),
    () => {
      const clientId = `c${server.seq}`;
      act({ type: "queue", id: "r_1", clientId, content: "mine", at: "" });
      act({ type: "delivered", id: "r_1", message: server.say(ME, clientId) });
    },
    () => server.seq && server.react(pick(2) ? ME : OTHER, 1 + pick(server.seq), EMOJI[pick(3)]),
    () => server.seq && server.react(pick(2) ? ME : OTHER, 1 + pick(server.seq), EMOJI[pick(3)]),
    () => server.rename(`room ${pick(100)}`),
    () => wire.length && frame(wire.shift()),
    () => {
      while (wire.length) frame(wire.shift());
    },
    () => pick(3) === 0 && connect(),
    () => pick(4) === 0 && wire.shift() && connect(), // a frame was lost with its connection
    () => !state.rooms.r_1.loaded && !pages.length && load("newest"),
    () => state.rooms.r_1.hasOlder && !pages.length && load("older", state.rooms.r_1.messages[0].seq),
    arrive,
    () => act({ type: "open", id: state.open ? null : "r_1" }),
    () => wire.length && frame({ ...wire[0] }), // heard twice
  ];
  connect();
  for (let step = 0; step < 60; step += 1) {
    deeds[pick(deeds.length)]();
    wire = wire.concat(server.log.slice(sent));
    sent = server.rev;
  }
  for (let step = 0; step < 3; step += 1) {
    while (wire.length) frame(wire.shift());
    resume();
  }
  while (wire.length) frame(wire.shift());
  while (!state.rooms.r_1.loaded || pages.length) pages.length || load("newest"), arrive();
  const room = state.rooms.r_1;
  const truth = server.page(room.messages.length || 1).messages.slice(-room.messages.length || Infinity);
  const seen = { rev: room.rev, name: room.name, seq: room.seq, unread: room.unread, stale: room.stale, pending: room.pending.length };
  const meant = { rev: server.rev, name: server.name, seq: server.seq, unread: server.seq - server.readSeq, stale: false, pending: 0 };
  const [client, real] = [sorted({ ...seen, messages: room.messages }), sorted({ ...meant, messages: truth })];
  return client === real ? null : { seed, client, real };
}

/** Many random conversations; the first that ends differently on the two sides, or null. */
export async function differs(conversations) {
  const modules = await import("/static/state.js");
  for (let seed = 1; seed <= conversations; seed += 1) {
    const fault = converse(seed, modules);
    if (fault) return fault;
  }
  return null;
}
