// What pops up for a moment: notifications from other rooms, and sentences about what went wrong.

import { bdi, el } from "./dom.js";
import { emblem, hue, sentence, userName } from "./text.js";

const SHOWN_MS = 6_000;
const MOST = 3;

/** The corner where notes appear; `onOpen(roomId)` is called when a notification is clicked. */
export function notesView(onOpen) {
  const root = el("div", { class: "notes", role: "status", "aria-live": "polite" });

  function show(node) {
    root.append(node);
    while (root.children.length > MOST) root.firstChild.remove();
    setTimeout(() => node.remove(), SHOWN_MS);
  }

  /** Take away what is shown of a room: it has been seen, or something newer comes. */
  function forget(roomId) {
    for (const note of root.querySelectorAll(`[data-room="${CSS.escape(roomId)}"]`)) note.remove();
  }

  return {
    root,
    /** Say what happened. */
    say: (text) => show(el("p", { class: "note", text: sentence(text) })),
    forget,
    /** Show a `notification` frame; a newer one of the same room takes the older one's place. */
    notify({ room_id, room_name, sender, preview }) {
      forget(room_id);
      const symbol = el("span", { class: "emblem", "aria-hidden": "true", text: emblem(room_name), style: { "--hue": hue(room_id) } });
      const said = el("span", { class: "row-last" }, bdi(userName(sender)), ": ", bdi(preview));
      const text = el("span", { class: "row-text" }, bdi(room_name, { class: "room-name" }), said);
      const note = el("button", { type: "button", class: "note", data: { room: room_id } }, symbol, text);
      note.addEventListener("click", () => {
        note.remove();
        onOpen(room_id);
      });
      show(note);
    },
  };
}
