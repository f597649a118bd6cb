// One room as this client knows it: pure functions from a room and what happened to the room after it.
//
// `rev` is the last durable event taken in; a later one than `rev + 1` means something was missed, so the room is
// `stale` until the missed events have been sent again. Messages are a gapless run that ends with the newest. Events up
// to `floor` were skipped, so that a page read before it cannot be brought up to date.

const RECENT_REACTIONS = 200;
const KEPT_MESSAGES = 100;

/** A room as `hello` introduces it. */
export function newRoom({ room_id, name = null, rev = 0, seq = 0, read_seq = 0, unread = 0 }) {
  return {
    ...{ id: room_id, name, rev, floor: rev, seq, readSeq: read_seq, unread, owner: null, memberCount: null, last: null },
    ...{ messages: [], loaded: false, loading: false, hasOlder: false, stale: false, pending: [], recent: [] },
    ...{ members: null, typing: {}, newFrom: null },
  };
}

/** The room after `hello` named it again: one that shows messages must hear the events between, another skips them. */
export function greet(room, { name, rev, seq, read_seq, unread }) {
  const known = { ...room, name, seq, readSeq: read_seq, unread, typing: {}, members: null };
  if (room.loaded || room.loading) return { ...known, stale: rev > room.rev };
  return { ...known, rev, floor: rev, stale: false };
}

/** The room after its entry of `GET /me/rooms`; numbers older than what was heard live are left alone. */
export function describe(room, { room: facts, unread, read_seq, last_message }) {
  const described = { ...room, name: facts.name, owner: facts.owner, memberCount: facts.member_count };
  const last = newer(room.last, last_message ?? null);
  if (facts.rev < room.rev) return { ...described, last };
  const counted = { ...described, last, readSeq: read_seq, unread, seq: facts.seq };
  return room.loaded || room.loading ? counted : { ...counted, rev: facts.rev, floor: facts.rev };
}

/** The room after a durable event (`message`, `reaction`, `member`, `room`); the same room if it is known already. */
export function apply(room, event, { me }) {
  if (event.rev <= room.rev) return room;
  if (event.rev > room.rev + 1) return room.stale ? room : { ...room, stale: true };
  return { ...DURABLE[event.type](room, event, me), rev: event.rev };
}

const DURABLE = {
  message(room, { message }, me) {
    const mine = message.sender.id === me.id;
    const readSeq = mine ? Math.max(room.readSeq, message.seq) : room.readSeq;
    const { [message.sender.id]: _, ...typing } = room.typing;
    const seq = Math.max(room.seq, message.seq);
    const known = { ...room, seq, readSeq, unread: seq - readSeq, typing, last: newer(room.last, message) };
    return withMessage(known, message);
  },
  reaction(room, event, me) {
    const recent = [...room.recent, event].slice(-RECENT_REACTIONS);
    return { ...room, recent, messages: room.messages.map((message) => reacted(message, event, me)) };
  },
  member(room, { user, op }) {
    const members = room.members && { ...room.members };
    if (members && op === "join") members[user.id] ??= { user, role: "member", online: false, last_active: null };
    if (members && op === "leave") delete members[user.id];
    const counted = room.memberCount === null ? null : room.memberCount + (op === "join" ? 1 : -1);
    const memberCount = members ? Object.keys(members).length : counted;
    return { ...(user.username === null ? nameless(room, user) : room), members, memberCount };
  },
  room(room, { op, name, owner }) {
    if (op === "rename") return { ...room, name };
    if (op !== "owner") return room;
    const roles = Object.entries(room.members ?? {}).map(([id, member]) => [
      id,
      { ...member, role: id === owner?.id ? "owner" : "member" },
    ]);
    return { ...room, owner, members: room.members && Object.fromEntries(roles) };
  },
};

// Whose account is erased leaves without a name, and is no longer named by what they wrote.
function nameless(room, user) {
  const unsigned = (message) => (message?.sender.id === user.id ? { ...message, sender: user } : message);
  return { ...room, last: unsigned(room.last), messages: room.messages.map(unsigned) };
}

/** The durable event types. */
export const isDurable = (type) => type in DURABLE;

function newer(known, other) {
  if (!known || !other) return known ?? other;
  return other.seq >= known.seq ? other : known;
}

// A message of mine is first `pending`, then there: from its ack or from its event, whichever comes first.
function withMessage(room, message) {
  const pending = room.pending.filter(({ clientId }) => clientId !== message.client_id);
  const dropped = pending.length === room.pending.length ? room.pending : pending;
  if (!room.loaded && !room.loading) return { ...room, pending: dropped };
  return { ...room, pending: dropped, messages: merged(room.messages, [message]) };
}

/** Both lists as one, ordered by `seq`, each message once; what was there stays as it is. */
function merged(known, added) {
  const have = new Set(known.map(({ id }) => id));
  const fresh = added.filter(({ id }) => !have.has(id));
  if (fresh.length === 0) return known;
  return [...known, ...fresh].sort((one, other) => one.seq - other.seq);
}

/** `message` after a reaction event; the event's `count` is as of its `rev`, so events may be applied again in order. */
function reacted(message, { message_id, emoji, op, count, user }, me) {
  if (message.id !== message_id) return message;
  const { [emoji]: before, ...others } = message.reactions;
  const mine = user.id === me.id ? op === "add" : (before?.me ?? false);
  if (count === 0) return { ...message, reactions: others };
  const reactions = before ? { ...message.reactions, [emoji]: { count, me: mine } } : { ...others, [emoji]: { count, me: mine } };
  return { ...message, reactions };
}

/** My reaction, shown before the server has said so; its event sets the count right. */
export function reactEarly(room, { messageId, emoji, on, me }) {
  const message = room.messages.find(({ id }) => id === messageId);
  const before = message?.reactions[emoji] ?? { count: 0, me: false };
  if (!message || before.me === on) return room;
  const event = { message_id: messageId, emoji, op: on ? "add" : "remove", count: before.count + (on ? 1 : -1), user: me };
  return { ...room, messages: room.messages.map((one) => reacted(one, event, me)) };
}

/**
 * The room with a page of history. `where` is `newest` (begins the run) or `older` (lengthens it). A page that does not
 * fit what happened since it was asked for is left out. One that was read before events heard live lacks their reactions:
 * those are applied again.
 */
export function addPage(room, page, { where, me }) {
  const since = room.recent.filter((event) => event.rev > page.rev);
  const messages = page.messages.map((message) => since.reduce((seen, event) => reacted(seen, event, me), message));
  return (where === "older" ? lengthened : begun)(room, { ...page, messages });
}

function lengthened(room, { messages, has_more }) {
  const joinsOn = room.loaded && (messages.length === 0 || messages.at(-1).seq + 1 === room.messages[0]?.seq);
  return joinsOn ? { ...room, messages: [...messages, ...room.messages], hasOlder: has_more } : room;
}

function begun(room, { messages, has_more, rev }) {
  if (rev < room.floor) return room;
  const live = room.messages.filter((message) => message.rev > rev); // heard after this page was read
  const all = merged(messages, live);
  const seq = Math.max(room.seq, all.at(-1)?.seq ?? 0);
  const counted = { ...room, seq, unread: seq - room.readSeq };
  return { ...counted, messages: all, hasOlder: has_more, loaded: true }; // `rev` stays: hearing it again changes nothing
}

/** The room with nothing loaded, its live events going on after `rev`. */
export function forget(room, rev) {
  return { ...room, rev, floor: rev, messages: [], loaded: false, hasOlder: false, stale: false, recent: [] };
}

/** The room when it is no longer looked at: of a long conversation the newest part is kept. */
export function putAside(room) {
  const whole = room.messages.length <= KEPT_MESSAGES;
  const messages = whole ? room.messages : room.messages.slice(-KEPT_MESSAGES);
  return { ...room, messages, hasOlder: room.hasOlder || !whole, newFrom: null };
}

/** The room when it comes into view: messages from `newFrom` on are marked as new. */
export function takeUp(room) {
  return { ...room, newFrom: room.unread > 0 ? room.readSeq + 1 : null };
}

/** The room with a message of mine that is on its way. */
export function queue(room, { clientId, content, at }) {
  return { ...room, newFrom: null, pending: [...room.pending, { clientId, content, at, status: "sending", problem: null }] };
}

/** The room after the server has stored a message of mine. */
export function delivered(room, message) {
  return withMessage(room, message);
}

/** The room with a pending message in another state: `sending`, `waiting` (for the connection) or `failed`. */
export function mark(room, clientId, { status, problem = null }) {
  const pending = room.pending.map((one) => (one.clientId === clientId ? { ...one, status, problem } : one));
  return { ...room, pending };
}

/** The room without a pending message. */
export function discard(room, clientId) {
  return { ...room, pending: room.pending.filter((one) => one.clientId !== clientId) };
}

/** The room after my read cursor moved. */
export function readTo(room, { read_seq, unread }) {
  return read_seq < room.readSeq ? room : { ...room, readSeq: read_seq, unread: Math.max(unread, room.seq - read_seq) };
}

/** The room with its members as `GET /rooms/{id}/members` lists them. */
export function withMembers(room, list) {
  const members = Object.fromEntries(list.map((member) => [member.user.id, member]));
  return { ...room, members, memberCount: list.length };
}

/** The room after a member's presence changed. */
export function present(room, { user, online, last_active }) {
  if (!room.members?.[user.id]) return room;
  const member = { ...room.members[user.id], online, last_active };
  const { [user.id]: typing, ...others } = room.typing;
  const stillTyping = online || !typing ? room.typing : others;
  return { ...room, members: { ...room.members, [user.id]: member }, typing: stillTyping };
}

/** The room with someone typing until `until` (milliseconds). */
export function typingUntil(room, user, until) {
  return { ...room, typing: { ...room.typing, [user.id]: { user, until } } };
}

/** The room without those who have stopped typing; the same room if all go on. */
export function typingAt(room, now) {
  const still = Object.entries(room.typing).filter(([, { until }]) => until > now);
  return still.length === Object.keys(room.typing).length ? room : { ...room, typing: Object.fromEntries(still) };
}
