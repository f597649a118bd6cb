// The messages of the open room: grouped by who speaks, divided by day, with reactions and the state of what is being sent.

import { bdi, el, icon, iconButton, reconcile, toggle } from "./dom.js";
import { pickEmoji, QUICK } from "./emoji.js";
import { dayName, emblem, fullTime, hue, isJumbo, linkParts, shortTime, timeOfDay, userName } from "./text.js";

const GROUP_MS = 5 * 60_000;
const NEAR_PX = 48;
const LOAD_OLDER_PX = 400;

/** The log; `client` is asked for older messages, to react, to send again. */
export function messagesView(client) {
  const list = el("ol", { class: "messages", role: "log", "aria-label": "Messages", "aria-live": "polite" });
  const quiet = el("p", { class: "beginning", hidden: true });
  const scroller = el("div", { class: "scroller", tabindex: "0", role: "region", "aria-label": "Conversation" }, quiet, list);
  const jump = el("button", { type: "button", class: "jump", hidden: true, on: { click: () => toEnd("smooth") } });
  jump.append(icon("down"), el("span", { text: "New messages" }));
  const root = el("div", { class: "log" }, scroller, jump);

  let shown = { id: null, first: null, seq: 0, pending: 0, items: [] };
  let following = true;

  const toEnd = (behavior = "instant") => scroller.scrollTo({ top: scroller.scrollHeight, behavior });
  scroller.addEventListener("scroll", () => {
    following = client.atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
    if (following) client.markRead();
    if (following) toggle(jump, false);
    if (scroller.scrollTop < LOAD_OLDER_PX) client.loadOlder();
  });
  scroller.addEventListener("keydown", moveFocus);
  new ResizeObserver(() => following && toEnd()).observe(scroller);

  function render(state) {
    const room = state.rooms[state.open];
    if (!room) {
      shown = { ...shown, id: null };
      return;
    }
    const fresh = room.id !== shown.id;
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    const items = itemsOf(room, state.me, fresh ? [] : shown.items);
    const make = (item) => MAKE[item.kind](item, { client, room: room.id });
    list.setAttribute("aria-busy", String(room.loading));
    toggle(quiet, room.loaded && !room.hasOlder);
    quiet.replaceChildren("This is the beginning of ", bdi(room.name ?? ""), room.messages.length ? "." : ". Say hello!");
    reconcile(list, items, { key: ({ key }) => key, make, update: (...change) => updateReactions(...change, { client, room: room.id }) });

    const first = room.messages[0]?.id ?? null;
    if (fresh) following = client.atEnd = true;
    if (following || room.pending.length > shown.pending) toEnd();
    else if (first !== shown.first) scroller.scrollTop = scroller.scrollHeight - fromEnd; // older ones came in above
    if (following) toggle(jump, false);
    else if (room.seq > shown.seq) toggle(jump, true);
    shown = { id: room.id, first, seq: room.seq, pending: room.pending.length, items };
    if (room.hasOlder && scroller.scrollHeight <= scroller.clientHeight) client.loadOlder();
  }

  function moveFocus(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step || (event.target !== scroller && !event.target.matches(".message"))) return;
    const rows = [...list.querySelectorAll(".message")];
    const at = rows.indexOf(event.target);
    const next = at === -1 ? rows.at(-1) : rows[at + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  }

  return { root, render };
}

/** What the log shows, in order; an item of before is reused if nothing in it changed. */
function itemsOf(room, me, before) {
  const known = new Map(before.map((item) => [item.key, item]));
  const keep = (item) => {
    const old = known.get(item.key);
    return old && Object.keys(item).every((name) => old[name] === item[name]) ? old : item;
  };
  const items = [];
  let previous = null;
  for (const message of room.messages) {
    const day = new Date(message.timestamp).toDateString();
    const newDay = day !== previous?.day;
    const isNew = message.seq === room.newFrom;
    if (newDay) items.push(keep({ kind: "day", key: `day ${day}`, at: message.timestamp }));
    if (isNew) items.push(keep({ kind: "new", key: "new" }));
    const at = Date.parse(message.timestamp);
    const goesOn = !newDay && !isNew && previous?.sender === message.sender.id && at - previous.at < GROUP_MS;
    const mine = message.sender.id === me.id;
    items.push(keep({ kind: "message", key: (mine && message.client_id) || message.id, message, goesOn, mine }));
    previous = { day, sender: message.sender.id, at };
  }
  for (const pending of room.pending) {
    const at = Date.parse(pending.at);
    const goesOn = previous?.sender === me.id && at - previous.at < GROUP_MS;
    items.push(keep({ kind: "pending", key: pending.clientId, pending, goesOn, me }));
    previous = { sender: me.id, at };
  }
  return items;
}

// A reaction must not rebuild the message it is on: that would move the focus and have it read out again.
function updateReactions(node, item, old, context) {
  const same = item.kind === "message" && old.kind === "message" && item.goesOn === old.goesOn && item.message.sender === old.message.sender;
  if (!same || item.message.content !== old.message.content) return false;
  const focused = node.querySelector(".reaction:focus")?.dataset.emoji;
  node.querySelector(".reactions").replaceWith(reactions(item.message, context));
  if (focused) node.querySelector(`.reaction[data-emoji="${CSS.escape(focused)}"]`)?.focus();
  return true;
}

const MAKE = {
  day: ({ at }) => el("li", { class: "divider", role: "separator" }, el("span", { text: dayName(new Date(at), new Date()) })),
  new: () => el("li", { class: "divider new", role: "separator" }, el("span", { text: "New" })),

  message({ message, goesOn, mine }, { client, room }) {
    const row = el("li", { class: `message${goesOn ? " goes-on" : ""}${mine ? " mine" : ""}`, tabindex: "-1", data: { id: message.id } });
    const at = new Date(message.timestamp);
    if (goesOn) row.append(stamp(at, message.timestamp, shortTime), el("span", { class: "sr", text: `${userName(message.sender)}: ` }));
    else row.append(avatar(message.sender));
    const body = el("div", { class: "body" });
    if (!goesOn) body.append(el("div", { class: "who" }, bdi(userName(message.sender), { class: "name" }), stamp(at, message.timestamp)));
    body.append(said(message.content), reactions(message, { client, room }));
    row.append(body, tools(message, { client, room }));
    return row;
  },

  pending({ pending, goesOn, me }, { client, room }) {
    const body = el("div", { class: "body" });
    const at = new Date(pending.at);
    if (!goesOn) body.append(el("div", { class: "who" }, bdi(userName(me), { class: "name" }), stamp(at, pending.at)));
    body.append(said(pending.content));
    const row = el("li", { class: `message mine pending ${pending.status}${goesOn ? " goes-on" : ""}` });
    row.append(goesOn ? stamp(at, pending.at, shortTime) : avatar(me), body);
    if (pending.status === "waiting") body.append(el("p", { class: "delivery", text: "Will be sent when the connection is back" }));
    if (pending.status === "failed") {
      const again = el("button", { type: "button", class: "link", text: "Try again" });
      const discard = el("button", { type: "button", class: "link", text: "Discard" });
      again.addEventListener("click", () => client.resend(room, pending.clientId));
      discard.addEventListener("click", () => client.discard(room, pending.clientId));
      body.append(el("p", { class: "delivery", role: "alert" }, `Not sent: ${pending.problem} `, again, discard));
    }
    return row;
  },
};

const stamp = (at, raw, format = timeOfDay) => el("time", { datetime: raw, title: fullTime(at), text: format(at) });

function avatar(user) {
  const look = { "aria-hidden": "true", text: emblem(userName(user)), style: { "--hue": hue(user.id) } };
  return el("span", { class: "avatar", ...look });
}

function said(content) {
  const parts = linkParts(content).map(({ text, href }) =>
    href ? el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", text }) : text,
  );
  return el("div", { class: `said${isJumbo(content) ? " jumbo" : ""}`, dir: "auto" }, parts);
}

function reactions(message, { client, room }) {
  const row = el("div", { class: "reactions" });
  for (const [emoji, { count, me }] of Object.entries(message.reactions)) {
    const label = `${emoji}, ${count}${me ? ", including you" : ""}`;
    const look = { class: "reaction", "aria-pressed": String(me), "aria-label": label, data: { emoji } };
    const button = el("button", { type: "button", ...look }, el("span", { text: emoji }), el("span", { class: "count", text: String(count) }));
    button.addEventListener("click", () => client.toggleReaction(room, message.id, emoji));
    row.append(button);
  }
  return row;
}

function tools(message, { client, room }) {
  const bar = el("div", { class: "tools", role: "toolbar", "aria-label": "React" });
  const react = (emoji) => client.toggleReaction(room, message.id, emoji);
  for (const emoji of QUICK) {
    bar.append(el("button", { type: "button", text: emoji, "aria-label": `React with ${emoji}`, on: { click: () => react(emoji) } }));
  }
  const more = iconButton("smile", "Other reaction", () => pickEmoji(more, react));
  bar.append(more);
  return bar;
}
