// Where one writes: a text area that grows, Enter to send, a draft kept for each room.

import { el, icon, iconButton, setText, toggle } from "./dom.js";
import { pickEmoji } from "./emoji.js";
import { graphemes } from "./text.js";

const MAX_GRAPHEMES = 4_000;
const WARN_WITHIN = 200;
const MAX_HEIGHT_PX = 220;
const touch = matchMedia("(pointer: coarse)");

/** The composer; what is written goes to `client.send`. */
export function composerView(client) {
  const drafts = new Map();
  let room = null;

  const enterkeyhint = touch.matches ? "enter" : "send"; // as the key does
  const input = el("textarea", { rows: "1", dir: "auto", "aria-label": "Message", autocomplete: "off", enterkeyhint });
  const left = el("span", { class: "left", role: "status", hidden: true });
  const smile = iconButton("smile", "Insert an emoji", () => pickEmoji(smile, insert));
  const send = el("button", { type: "submit", class: "send", title: "Send", "aria-label": "Send", disabled: true }, icon("send"));
  const root = el("form", { class: "composer", on: { submit } }, smile, input, left, send);

  input.addEventListener("input", () => {
    changed();
    if (input.value.trim() !== "") client.typing();
  });
  input.addEventListener("keydown", (event) => {
    const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch.matches;
    if (sends) submit(event);
  });

  function changed() {
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, MAX_HEIGHT_PX)}px`;
    const close = input.value.length > MAX_GRAPHEMES - WARN_WITHIN;
    const remaining = close ? MAX_GRAPHEMES - graphemes(input.value).length : MAX_GRAPHEMES;
    toggle(left, remaining < WARN_WITHIN);
    setText(left, remaining < WARN_WITHIN ? String(remaining) : "");
    left.classList.toggle("over", remaining < 0);
    send.disabled = input.value.trim() === "" || remaining < 0;
  }

  function insert(emoji) {
    input.setRangeText(emoji, input.selectionStart, input.selectionEnd, "end");
    input.focus();
    changed();
  }

  function submit(event) {
    event.preventDefault();
    if (send.disabled || room === null) return;
    client.send(room, input.value);
    input.value = "";
    changed();
    input.focus();
  }

  return {
    root,
    focus: () => touch.matches || input.focus(),
    render(state) {
      const open = state.rooms[state.open];
      if (!open) return;
      if (room !== open.id) {
        if (room !== null) drafts.set(room, input.value);
        room = open.id;
        input.value = drafts.get(room) ?? "";
        changed();
      }
      const placeholder = `Message ${open.name ?? ""}`;
      if (input.placeholder !== placeholder) input.placeholder = placeholder;
    },
  };
}
