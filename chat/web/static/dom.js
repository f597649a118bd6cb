// Makes and updates elements. Text from people only ever becomes a text node: nothing here parses HTML.

/** An element. `props`: `class`, `text`, `data` (dataset), `on` (listeners), `style` (custom properties); the rest are attributes. */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name === "text") node.textContent = value;
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "style") for (const [key, setting] of Object.entries(value)) node.style.setProperty(key, setting);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** A name someone typed, isolated so that right-to-left text cannot reorder what stands around it. */
export function bdi(text, props = {}) {
  return el("bdi", { ...props, text });
}

const SVG = "http://www.w3.org/2000/svg";

/** The icon of that name, drawn with strokes in the current colour; hidden from screen readers, so its button needs a label. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", ICONS[name]);
  svg.append(line);
  return svg;
}

const ICONS = {
  back: "M15 5l-7 7 7 7",
  close: "M6 6l12 12M18 6L6 18",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  people: "M9 11a4 4 0 100-8 4 4 0 000 8zM2 21a7 7 0 0114 0M16 3.5a4 4 0 010 7M22 21a7 7 0 00-4.5-6.5",
  plus: "M12 5v14M5 12h14",
  search: "M11 18a7 7 0 100-14 7 7 0 000 14zM20 20l-4-4",
  send: "M12 19V5M5.5 11.5L12 5l6.5 6.5",
  smile: "M12 21a9 9 0 100-18 9 9 0 000 18zM8.5 14.5a4.2 4.2 0 007 0M9 9.5h.01M15 9.5h.01",
  down: "M12 5v14M6 13l6 6 6-6",
  person: "M12 12a4.5 4.5 0 100-9 4.5 4.5 0 000 9zM4 21a8 8 0 0116 0",
};

/** A button that shows only an icon. */
export function iconButton(name, label, onClick, props = {}) {
  const button = { type: "button", title: label, "aria-label": label, ...props, on: { click: onClick, ...props.on } };
  return el("button", { ...button, class: `icon-button ${props.class ?? ""}` }, icon(name));
}

const kept = new WeakMap();

/**
 * Make the children of `parent` show `items`, reusing the element of an item that was there before.
 * Where the item under a key is another value, `update(node, item, old)` may adapt the element and return true;
 * otherwise `make(item)` builds a new one.
 */
export function reconcile(parent, items, { key, make, update = () => false }) {
  const before = kept.get(parent) ?? new Map();
  const after = new Map();
  let cursor = parent.firstChild;
  for (const item of items) {
    const known = before.get(key(item));
    const reusable = known && (known.item === item || update(known.node, item, known.item));
    const node = reusable ? known.node : make(item);
    if (known && !reusable) {
      if (cursor === known.node) cursor = node;
      known.node.replaceWith(node);
    }
    if (node === cursor) cursor = cursor.nextSibling;
    else parent.insertBefore(node, cursor);
    after.set(key(item), { item, node });
  }
  for (const [name, { node }] of before) if (!after.has(name)) node.remove();
  kept.set(parent, after);
}

/** Show or hide without touching layout when nothing changes. */
export function toggle(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

/** Set an element's text only if it differs, so that screen readers are not told the same again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
