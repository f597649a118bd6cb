// The list of my rooms: what happened last in each, what is unread, and the ways to more rooms and to my account.

import { bdi, el, icon, iconButton, reconcile, setText, toggle } from "./dom.js";
import { roomList } from "./state.js";
import { briefTime, emblem, hue, userName } from "./text.js";

const CONNECTION = { connecting: "Connecting…", offline: "Offline. Trying again soon.", online: "" };

/** The sidebar; `onFind()` opens the search for rooms, `onAccount()` the account's dialog. */
export function sidebarView({ onFind, onAccount }) {
  const list = el("ul", { class: "rooms" });
  const empty = el("p", { class: "quiet", text: "You are in no room yet. Find one, or start your own." });
  const connection = el("p", { class: "connection", role: "status", hidden: true });
  const name = el("bdi");
  const picture = el("span", { class: "avatar", "aria-hidden": "true" });
  const account = el("button", { type: "button", class: "account", title: "Account", on: { click: onAccount } });
  account.append(picture, name, icon("more"));
  const find = el("button", { type: "button", class: "find", on: { click: onFind } });
  find.append(icon("search"), el("span", { text: "Find or start a room" }), el("kbd", { text: "Ctrl K" }));
  const head = el("header", {}, el("span", { class: "brand" }, el("span", { "aria-hidden": "true", text: "☕ " }), "chat"));
  head.append(iconButton("plus", "Find or start a room", onFind));
  const root = el("nav", { class: "sidebar", "aria-label": "Rooms" }, head, find, connection, empty, list, account);

  let shown = [];
  return {
    root,
    render(state) {
      const rooms = roomList(state);
      toggle(empty, rooms.length === 0 && state.greeted);
      setText(connection, CONNECTION[state.connection]);
      toggle(connection, state.greeted && state.connection !== "online");
      setText(name, userName(state.me));
      setText(picture, emblem(userName(state.me)));
      picture.style.setProperty("--hue", hue(state.me.id));
      shown = rooms.map((room) => row(shown, room, room.id === state.open, state.me));
      reconcile(list, shown, { key: ({ room }) => room.id, make: roomRow });
    },
  };
}

// A row is made anew only if something that it shows has changed.
function row(before, room, current, me) {
  const old = before.find((one) => one.room.id === room.id);
  const shows = (one) => [one.name, one.unread, one.last?.id, one.last?.sender.username].join("\n");
  return old && old.current === current && shows(old.room) === shows(room) ? old : { room, current, me };
}

function roomRow({ room, current, me }) {
  const badge = room.unread > 0 && el("span", { class: "badge", text: room.unread > 99 ? "99+" : String(room.unread) });
  if (badge) badge.setAttribute("aria-label", `${room.unread} unread`);
  const at = room.last && new Date(room.last.timestamp);
  const top = el("span", { class: "row-top" }, bdi(room.name, { class: "room-name" }));
  if (at) top.append(el("time", { datetime: room.last.timestamp, text: briefTime(at, new Date()) }));
  const said = el("span", { class: "row-last" }, room.last ? lastWords(room.last, me) : "No messages yet");
  const link = el("a", { href: `#${room.id}`, class: "room", "aria-current": current ? "page" : null });
  link.append(el("span", { class: "emblem", "aria-hidden": "true", text: emblem(room.name), style: { "--hue": hue(room.id) } }));
  link.append(el("span", { class: "row-text" }, top, el("span", { class: "row-bottom" }, said, badge)));
  if (room.unread > 0) link.classList.add("unread");
  return el("li", {}, link);
}

function lastWords({ sender, content }, me) {
  const who = sender.id === me.id ? "You" : userName(sender);
  return [bdi(who), ": ", bdi(content.slice(0, 120).replace(/\s+/gu, " "))];
}
