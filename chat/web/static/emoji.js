// The small palette that reactions and messages are picked from, and the little window that shows it.

import { el } from "./dom.js";

export const QUICK = ["👍", "❤️", "😂", "🎉"];

const PALETTE = [
  ["👍", "thumbs up"], ["👎", "thumbs down"], ["❤️", "heart"], ["😂", "tears of joy"], ["🎉", "party"], ["🙏", "thank you"],
  ["👀", "looking"], ["🔥", "fire"], ["☕", "coffee"], ["🍕", "pizza"], ["🍰", "cake"], ["🍻", "cheers"],
  ["😀", "grin"], ["😊", "smile"], ["😉", "wink"], ["😍", "in love"], ["🤩", "starry eyes"], ["😎", "cool"],
  ["🤔", "thinking"], ["😅", "sweat smile"], ["😴", "asleep"], ["😢", "crying"], ["😭", "sobbing"], ["😡", "angry"],
  ["😱", "scream"], ["🤯", "mind blown"], ["🥳", "celebrating"], ["🤗", "hug"], ["🤷", "shrug"], ["🙌", "raised hands"],
  ["👏", "clapping"], ["💪", "strong"], ["👋", "wave"], ["🤝", "handshake"], ["✌️", "victory"], ["👌", "OK"],
  ["✅", "done"], ["❌", "no"], ["❓", "question"], ["❗", "exclamation"], ["💡", "idea"], ["⭐", "star"],
  ["🚀", "rocket"], ["🐛", "bug"], ["🚢", "ship"], ["🔒", "lock"], ["⏰", "alarm"], ["📌", "pin"],
  ["🌈", "rainbow"], ["☀️", "sun"], ["🌙", "moon"], ["🌱", "seedling"], ["🐱", "cat"], ["🐶", "dog"],
];
const COLUMNS = 6;

const panel = el("div", { class: "picker", role: "dialog", "aria-label": "Choose an emoji", hidden: true });
let anchor = null;
let choose = null;

for (const [emoji, name] of PALETTE) {
  panel.append(
    el("button", { type: "button", text: emoji, title: name, "aria-label": name, on: { click: () => finish(emoji) } }),
  );
}
panel.addEventListener("keydown", onKey);
document.addEventListener("pointerdown", ({ target }) => {
  if (!panel.hidden && !panel.contains(target) && !anchor?.contains(target)) close();
});

/** Show the palette beside `button`; `onChoose(emoji)` is called if one is chosen. */
export function pickEmoji(button, onChoose) {
  if (!panel.isConnected) document.body.append(panel);
  if (!panel.hidden && anchor === button) return close();
  [anchor, choose] = [button, onChoose];
  panel.hidden = false;
  const at = button.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = panel;
  const below = at.top < height + 12;
  const left = at.left < innerWidth / 2 ? at.left : at.right - width;
  panel.style.setProperty("left", `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`);
  panel.style.setProperty("top", `${below ? Math.min(at.bottom + 6, innerHeight - height - 8) : at.top - height - 6}px`);
  panel.firstChild.focus();
  return undefined;
}

function finish(emoji) {
  const chosen = choose;
  close();
  chosen?.(emoji);
}

function close() {
  panel.hidden = true;
  if (panel.contains(document.activeElement) || document.activeElement === document.body) anchor?.focus();
  anchor = null;
}

function onKey(event) {
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: COLUMNS, ArrowUp: -COLUMNS };
  if (event.key === "Escape") close();
  if (!(event.key in steps)) return;
  event.preventDefault();
  const buttons = [...panel.children];
  buttons[buttons.indexOf(document.activeElement) + steps[event.key]]?.focus();
}
