// Everything this client knows, and how each thing that happens changes it: one pure function, `reduce`.

import * as Room from "./room.js";

export const TYPING_MS = 5_000;

/** Before anyone has signed in. */
export const initial = {
  me: null,
  connection: "offline", // connecting · online · offline
  retryAt: null,
  epoch: null,
  greeted: false,
  rooms: {},
  open: null, // id of the room being looked at
  offer: null, // a room that was linked to, which one may join
  notice: null, // a sentence on the sign-in page
};

/** The state after `action`; the same state if nothing changed. */
export function reduce(state, action) {
  const change = ACTIONS[action.type];
  return change ? change(state, action) : state;
}

const inRoom = (state, id, change) => {
  const room = state.rooms[id];
  const after = room && change(room);
  return !room || after === room ? state : { ...state, rooms: { ...state.rooms, [id]: after } };
};

const without = (state, id) => {
  const { [id]: gone, ...rooms } = state.rooms;
  return gone ? { ...state, rooms, open: state.open === id ? null : state.open } : state;
};

const ACTIONS = {
  signed_in: (_, { user }) => ({ ...initial, me: user }),
  signed_out: (_, { notice = null }) => ({ ...initial, notice }),
  connection: (state, { status, retryAt = null }) => ({ ...state, connection: status, retryAt }),
  frame: (state, { frame, now }) => (FRAMES[frame.type] ?? unknown)(state, frame, now),
  my_rooms: (state, { rooms }) => rooms.reduce(described, state),
  joined: (state, { room }) => {
    const known = state.rooms[room.id] ?? Room.newRoom({ room_id: room.id, rev: room.rev, seq: room.seq, read_seq: room.seq });
    const { name, owner, member_count: memberCount } = room;
    return { ...state, rooms: { ...state.rooms, [room.id]: { ...known, name, owner, memberCount } } };
  },
  left: (state, { id }) => without(state, id),
  open: (state, { id }) => {
    if (state.open === id) return state;
    const closed = inRoom(state, state.open, Room.putAside);
    return { ...inRoom(closed, id, Room.takeUp), open: id, offer: null };
  },
  offer: (state, { room }) => ({ ...state, offer: room }),
  loading: (state, { id, loading }) => inRoom(state, id, (room) => ({ ...room, loading })),
  page: (state, { id, page, where }) => inRoom(state, id, (room) => Room.addPage(room, page, { where, me: state.me })),
  members: (state, { id, members }) => inRoom(state, id, (room) => Room.withMembers(room, members)),
  members_unknown: (state, { id }) => inRoom(state, id, (room) => (room.members ? { ...room, members: null } : room)),
  read: (state, { id, read }) => inRoom(state, id, (room) => Room.readTo(room, read)),
  queue: (state, { id, ...message }) => inRoom(state, id, (room) => Room.queue(room, message)),
  delivered: (state, { id, message }) => inRoom(state, id, (room) => Room.delivered(room, message)),
  mark: (state, { id, clientId, ...mark }) => inRoom(state, id, (room) => Room.mark(room, clientId, mark)),
  discard: (state, { id, clientId }) => inRoom(state, id, (room) => Room.discard(room, clientId)),
  react: (state, { id, ...reaction }) => inRoom(state, id, (room) => Room.reactEarly(room, { ...reaction, me: state.me })),
  tick: (state, { now }) => inRoom(state, state.open, (room) => Room.typingAt(room, now)),
};

const unknown = (state) => state; // a later server may say more than this client understands

const durable = (state, event) => inRoom(state, event.room_id, (room) => Room.apply(room, event, { me: state.me }));

const FRAMES = {
  hello(state, { user, epoch, rooms }) {
    const same = state.epoch === epoch;
    const entries = rooms.map((facts) => {
      const known = state.rooms[facts.room_id];
      if (known && same) return [facts.room_id, Room.greet(known, facts)];
      return [facts.room_id, { ...Room.newRoom(facts), pending: known?.pending ?? [] }];
    });
    const open = rooms.some(({ room_id }) => room_id === state.open) ? state.open : null;
    return { ...state, me: user, epoch, greeted: true, rooms: Object.fromEntries(entries), open };
  },
  message: durable,
  reaction: durable,
  member(state, event) {
    const mine = event.user.id === state.me.id;
    const room = state.rooms[event.room_id];
    if (mine && event.op === "leave") return room && event.rev > room.rev ? without(state, event.room_id) : state;
    if (mine && !room) {
      const joined = Room.newRoom({ room_id: event.room_id, rev: event.rev });
      return { ...state, rooms: { ...state.rooms, [event.room_id]: joined } };
    }
    return durable(state, event);
  },
  room: (state, event) => (event.op === "delete" ? without(state, event.room_id) : durable(state, event)),
  resumed: (state, { room_id, to }) =>
    inRoom(state, room_id, (room) => (room.rev >= to ? { ...room, stale: false } : Room.forget(room, to))),
  // Too far behind to be told event by event: the newest page is fetched again.
  reset(state, { room_id, reason, head_rev }) {
    if (reason === "deleted" || reason === "not_a_member") return without(state, room_id);
    return inRoom(state, room_id, (room) => Room.forget(room, head_rev));
  },
  presence: (state, frame) => inRoom(state, frame.room_id, (room) => Room.present(room, frame)),
  typing: (state, { room_id, user }, now) =>
    inRoom(state, room_id, (room) => Room.typingUntil(room, user, now + TYPING_MS)),
  read: (state, frame) => inRoom(state, frame.room_id, (room) => Room.readTo(room, frame)),
};

function described(state, entry) {
  const facts = entry.room;
  const known = state.rooms[facts.id] ?? Room.newRoom({ room_id: facts.id, rev: facts.rev });
  return { ...state, rooms: { ...state.rooms, [facts.id]: Room.describe(known, entry) } };
}

const names = new Intl.Collator(undefined, { numeric: true });

/** The rooms as the list shows them: the latest conversation first. */
export function roomList(state) {
  const when = (room) => room.last?.timestamp ?? "";
  return Object.values(state.rooms)
    .filter((room) => room.name !== null)
    .sort((one, other) => when(other).localeCompare(when(one)) || names.compare(one.name, other.name));
}

/** How many messages are unread in all rooms together. */
export const totalUnread = (state) => Object.values(state.rooms).reduce((sum, room) => sum + room.unread, 0);

/** Rooms that missed events. */
export const staleRooms = (state) => Object.values(state.rooms).filter((room) => room.stale);
