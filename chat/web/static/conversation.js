// The open room: its head with name and who is there, its messages, the composer; or what to do while none is open.

import { bdi, el, iconButton, setText, toggle } from "./dom.js";
import { composerView } from "./composer.js";
import { messagesView } from "./messages.js";
import { emblem, hue, listNames, userName } from "./text.js";

/** The middle of the page. `actions`: onBack, onMembers, onMenu(button), onFind, onJoin(room). */
export function conversationView(client, actions) {
  const symbol = el("span", { class: "emblem", "aria-hidden": "true" });
  const name = el("h1", { dir: "auto" });
  const about = el("p", { class: "about" });
  const people = iconButton("people", "Members", actions.onMembers, { class: "people", "aria-expanded": "false" });
  const more = iconButton("more", "Room menu", () => actions.onMenu(more), { "aria-haspopup": "menu" });
  const head = el("header", {}, iconButton("back", "Back to the rooms", actions.onBack, { class: "back" }), symbol);
  head.append(el("div", { class: "title" }, name, about), people, more);

  const messages = messagesView(client);
  const composer = composerView(client);
  const typing = el("p", { class: "typing", "aria-live": "polite" });
  const talk = el("section", { class: "talk" }, head, messages.root, typing, composer.root);
  const blank = el("section", { class: "blank" });
  const root = el("main", { class: "conversation" }, blank, talk);

  let open = null;
  let offered;
  return {
    root,
    people,
    render(state) {
      const room = state.rooms[state.open];
      toggle(talk, Boolean(room));
      toggle(blank, !room);
      if (!room && offered !== state.offer) fillBlank(state.offer);
      messages.render(state);
      composer.render(state);
      if (room) fillHead(room, state);
      if (room && open !== room.id) composer.focus();
      open = room?.id ?? null;
    },
  };

  function fillHead(room, state) {
    setText(name, room.name ?? "…");
    setText(symbol, emblem(room.name ?? "…"));
    symbol.style.setProperty("--hue", hue(room.id));
    const members = Object.values(room.members ?? {});
    const online = members.filter((member) => member.online || member.user.id === state.me.id).length;
    const count = room.memberCount ?? members.length;
    const total = count === 1 ? "Only you, so far" : `${count} members`;
    setText(about, members.length > 1 ? `${total}, ${online} online` : count ? total : "");
    const names = Object.values(room.typing).map(({ user }) => userName(user));
    setText(typing, names.length ? `${listNames(names)} ${names.length === 1 ? "is" : "are"} typing…` : "");
  }

  function fillBlank(offer) {
    offered = offer;
    const button = (text, onClick) => el("button", { type: "button", class: "primary", text, on: { click: onClick } });
    const mark = el("span", { class: "big", "aria-hidden": "true", text: offer ? emblem(offer.name) : "☕" });
    if (offer) {
      const count = `${offer.member_count} member${offer.member_count === 1 ? "" : "s"}`;
      blank.replaceChildren(mark, el("h1", {}, bdi(offer.name)), el("p", { text: `${count}. You are not in this room yet.` }));
      blank.append(button("Join the room", () => actions.onJoin(offer)));
      return;
    }
    blank.replaceChildren(mark, el("h1", { text: "Pull up a chair" }));
    blank.append(el("p", { text: "Choose a room to read along, or start one of your own." }), button("Find or start a room", actions.onFind));
  }
}
