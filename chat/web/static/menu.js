// A small menu under a button.

import { el } from "./dom.js";

let open = null;

/** Show `items` of `{text, act, danger}` under `button`; closes on Escape, a choice, or a press elsewhere. */
export function menu(button, items) {
  if (open) return open();
  const list = el("div", { class: "menu", role: "menu" });
  for (const { text, act, danger } of items) {
    const item = el("button", { type: "button", role: "menuitem", class: danger ? "danger" : "", text });
    item.addEventListener("click", () => {
      close();
      act();
    });
    list.append(item);
  }
  const elsewhere = ({ target }) => !list.contains(target) && !button.contains(target) && close();
  function close() {
    list.remove();
    document.removeEventListener("pointerdown", elsewhere);
    button.setAttribute("aria-expanded", "false");
    button.focus();
    open = null;
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const all = [...list.children];
    if (event.key === "Escape" || event.key === "Tab") close();
    else if (step) all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    else return;
    event.preventDefault();
  });
  document.body.append(list);
  const at = button.getBoundingClientRect();
  list.style.setProperty("top", `${at.bottom + 6}px`);
  list.style.setProperty("left", `${Math.max(8, at.right - list.offsetWidth)}px`);
  document.addEventListener("pointerdown", elsewhere);
  button.setAttribute("aria-expanded", "true");
  list.firstChild.focus();
  open = close;
  return undefined;
}
