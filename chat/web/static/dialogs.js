// Modal dialogs: a question, a form, the search for rooms, the account.

import { bdi, el, icon, iconButton, setText, toggle } from "./dom.js";
import { deviceName, emblem, fullTime, hue, sentence } from "./text.js";

/** Open a modal dialog with `content`; it is removed when it closes. */
function modal(title, ...content) {
  const dialog = el("dialog", { "aria-label": title });
  const head = el("header", {}, el("h2", { text: title }), iconButton("close", "Close", () => dialog.close()));
  dialog.append(head, ...content);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask for something: `fields` of `{name, label, type, value, autocomplete}`; `onSubmit(values)` may reject with a
 * Problem, which is shown. `danger` marks what cannot be undone.
 */
export function ask({ title, text = "", fields = [], submit, danger = false, onSubmit }) {
  const fault = el("p", { class: "fault", role: "alert", hidden: true });
  const inputs = fields.map(({ name, label, value = "", ...rest }) => {
    const input = el("input", { id: `ask-${name}`, name, required: true, dir: "auto", autocomplete: "off", ...rest });
    input.value = value;
    return el("div", { class: "field" }, el("label", { for: input.id, text: label }), input);
  });
  const button = el("button", { type: "submit", class: danger ? "danger" : "primary", text: submit });
  const form = el("form", {}, text && el("p", { text }), inputs, fault, el("div", { class: "buttons" }, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await onSubmit(Object.fromEntries(new FormData(form)));
      dialog.close();
    } catch (problem) {
      setText(fault, sentence(problem.message));
      toggle(fault, true);
    } finally {
      button.disabled = false;
    }
  });
  const dialog = modal(title, form);
  (form.querySelector("input") ?? button).focus();
}

/** Search all rooms; `onChoose(room)` opens or joins one, `onCreate(name)` starts one (may reject with a Problem). */
export function findRooms({ client, onChoose, onCreate }) {
  const input = el("input", { type: "search", placeholder: "Name of a room", "aria-label": "Name of a room", dir: "auto" });
  const list = el("ul", { class: "found" });
  const create = el("button", { type: "button", class: "create", hidden: true });
  const fault = el("p", { class: "fault", role: "alert", hidden: true });
  let asked = 0;

  async function search() {
    const query = input.value.trim();
    const number = ++asked;
    const answer = await client.api.findRooms(query).catch((problem) => ({ problem, rooms: [] }));
    if (number !== asked) return;
    tell(answer.problem);
    list.replaceChildren(...answer.rooms.map(row));
    const exists = answer.rooms.some(({ name }) => name.toLowerCase() === query.toLowerCase());
    create.replaceChildren(icon("plus"), "Start ", bdi(query));
    toggle(create, query !== "" && !exists);
  }

  function row(room) {
    const button = el("button", { type: "button", on: { click: () => run(() => onChoose(room)) } });
    const mine = room.id in client.state.rooms;
    const count = `${room.member_count} member${room.member_count === 1 ? "" : "s"}`;
    button.append(el("span", { class: "emblem", "aria-hidden": "true", text: emblem(room.name), style: { "--hue": hue(room.id) } }));
    button.append(el("span", { class: "row-text" }, bdi(room.name), el("small", { text: mine ? `${count}, you are in it` : count })));
    return el("li", {}, button);
  }

  async function run(act) {
    try {
      await act();
      dialog.close();
    } catch (problem) {
      tell(problem);
    }
  }

  function tell(problem) {
    setText(fault, problem ? sentence(problem.message) : "");
    toggle(fault, Boolean(problem));
  }

  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const target = create.hidden ? list.querySelector("button") : create;
    target?.click();
  });
  create.addEventListener("click", () => run(() => onCreate(input.value)));
  const dialog = modal("Find or start a room", input, fault, create, list);
  dialog.classList.add("find-rooms");
  input.focus();
  search();
}

/** The account: sessions, password, sign out, erase. */
export async function accountDialog({ client, onNote }) {
  const list = el("ul", { class: "sessions" });
  const button = (text, onClick, style = "") => el("button", { type: "button", class: style, text, on: { click: onClick } });
  const buttons = el("div", { class: "buttons" });
  const name = el("p", { class: "account-name" }, "Signed in as ", bdi(client.state.me.username));
  const dialog = modal("Account", name, el("h3", { text: "Where you are signed in" }), list, buttons);
  const leaving = (act) => () => {
    dialog.close();
    act();
  };
  buttons.append(
    button("Change password", leaving(() => changePassword(client, onNote))),
    button("Erase account", leaving(() => erase(client)), "danger quiet"),
    button("Sign out", leaving(() => client.signOut()), "primary"),
  );

  async function show() {
    const { sessions } = await client.api.sessions().catch(() => ({ sessions: [] }));
    list.replaceChildren(...sessions.map(row));
  }
  function row(session) {
    const seen = session.current ? "this one" : `last seen ${fullTime(new Date(session.last_seen))}`;
    const what = el("span", { class: "row-text" }, bdi(deviceName(session.user_agent), { title: session.user_agent }), el("small", { text: seen }));
    const end = async () => {
      await client.api.endSession(session.id).catch((problem) => onNote(problem.message));
      show();
    };
    return el("li", {}, what, !session.current && button("End", end));
  }
  await show();
}

function changePassword(client, onNote) {
  ask({
    title: "Change password",
    text: "All your other sessions end.",
    submit: "Change password",
    fields: [
      { name: "current", label: "Current password", type: "password", autocomplete: "current-password" },
      { name: "next", label: "New password", type: "password", autocomplete: "new-password" },
    ],
    onSubmit: async ({ current, next }) => {
      await client.api.changePassword(current, next);
      onNote("Your password is changed.");
    },
  });
}

function erase(client) {
  ask({
    title: "Erase account",
    text: "Your name disappears from everything you wrote. This cannot be undone.",
    submit: "Erase my account",
    danger: true,
    fields: [{ name: "password", label: "Password", type: "password", autocomplete: "current-password" }],
    onSubmit: ({ password }) => client.eraseAccount(password),
  });
}
