// The page for who is not signed in: one form that signs in or makes an account.

import { Api } from "./api.js";
import { el, setText, toggle } from "./dom.js";
import { sentence } from "./text.js";

/** The sign-in page; `onSubmit({username, password, invite, isNew, stays})` may reject with a Problem, which is then shown. */
export function signInView(onSubmit) {
  let isNew = false;
  let busy = false;

  const title = el("h1");
  const lead = el("p", { class: "lead" });
  const username = field("username", "Username", { autocomplete: "username", autocapitalize: "none", spellcheck: "false", dir: "auto" });
  const password = field("password", "Password", { type: "password" });
  const invite = field("invite", "Invitation code", { autocomplete: "off" });
  const stay = el("input", { type: "checkbox", id: "sign-in-stay", name: "stay", checked: true });
  const stays = el("label", { class: "stay", hidden: !Api.canStay }, stay, "Stay signed in on this device");
  const fault = el("p", { class: "fault", role: "alert", hidden: true });
  const submit = el("button", { class: "primary", type: "submit" });
  const change = el("button", { class: "link", type: "button", on: { click: () => show(!isNew) } });
  const form = el("form", { class: "card sign-in", novalidate: true, on: { submit: onFormSubmit } });
  form.append(el("span", { class: "logo", "aria-hidden": "true", text: "☕" }), title, lead);
  form.append(username.root, password.root, invite.root, stays, fault, submit, change);
  const root = el("main", { class: "sign-in-page" }, form);

  function show(asNew) {
    isNew = asNew;
    setText(title, isNew ? "Create your account" : "Welcome back");
    setText(submit, isNew ? "Create account" : "Sign in");
    setText(change, isNew ? "I have an account: sign in" : "New here? Create an account");
    password.input.autocomplete = isNew ? "new-password" : "current-password";
    toggle(password.hint, isNew);
    toggle(invite.root, false);
    tell(null);
  }

  function tell(problem) {
    for (const one of [username, password, invite]) one.input.removeAttribute("aria-invalid");
    const wrong = { username, password, invite }[problem?.field];
    wrong?.input.setAttribute("aria-invalid", "true");
    setText(fault, problem ? advice(problem) : "");
    toggle(fault, problem !== null);
    wrong?.input.focus();
  }

  async function onFormSubmit(event) {
    event.preventDefault();
    if (busy) return;
    const empty = [username, password].find(({ input }) => input.value === "");
    if (empty) return tell({ field: empty.input.name, message: `Please enter a ${empty.input.name}.` });
    busy = submit.disabled = true;
    tell(null);
    try {
      const typed = { username: username.input.value, password: password.input.value, invite: invite.input.value };
      await onSubmit({ ...typed, isNew, stays: stay.checked });
      form.reset();
    } catch (problem) {
      if (isNew && problem.code === "forbidden") toggle(invite.root, true);
      tell(problem);
    } finally {
      busy = submit.disabled = false;
    }
    return undefined;
  }

  show(false);
  setText(password.hint, "At least 8 characters; a sentence is fine.");
  return {
    root,
    /** Begin again, with signing in. */
    enter() {
      show(false);
      username.input.focus();
    },
    render(state) {
      setText(lead, state.notice ?? "Rooms for talking, in every script.");
      lead.classList.toggle("notice", state.notice !== null);
    },
  };
}

function field(name, label, attributes = {}) {
  const input = el("input", { id: `sign-in-${name}`, name, required: true, "aria-describedby": `hint-${name}`, ...attributes });
  const hint = el("small", { id: `hint-${name}`, hidden: true });
  const root = el("div", { class: "field" }, el("label", { for: input.id, text: label }), input, hint);
  return { root, input, hint };
}

function advice(problem) {
  const known = {
    bad_credentials: "That username and password do not match.",
    username_taken: "That username, or one that looks like it, is taken.",
    forbidden: "This server needs an invitation code.",
    rate_limited: "Too many attempts. Please wait a moment.",
  };
  return known[problem.code] ?? sentence(problem.message);
}
