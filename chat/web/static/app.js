// The page: puts the views together, follows the address (`#<room id>`), and wires what people do to the client.

import { Client } from "./client.js";
import { conversationView } from "./conversation.js";
import { accountDialog, ask, findRooms } from "./dialogs.js";
import { el, toggle } from "./dom.js";
import { membersView } from "./members.js";
import { menu } from "./menu.js";
import { notesView } from "./notes.js";
import { sidebarView } from "./sidebar.js";
import { signInView } from "./sign-in.js";
import { roomList, totalUnread } from "./state.js";

const client = new Client();
const notes = notesView((id) => goTo(id));
client.onNote = notes.say;
client.onNotification = notes.notify;

const goTo = (id) => {
  location.hash = id ?? "";
};
const inAddress = () => location.hash.slice(1) || null;

const find = () =>
  findRooms({
    client,
    onChoose: async (room) => goTo(room.id in client.state.rooms ? room.id : await client.join(room.id)),
    onCreate: async (name) => goTo(await client.createRoom(name)),
  });
const account = () => accountDialog({ client, onNote: notes.say });
const join = async (room) => {
  await client.join(room.id).catch((problem) => notes.say(problem.message));
  await client.open(room.id);
};
const showMembers = (shown) => {
  page.classList.toggle("with-members", shown);
  conversation.people.setAttribute("aria-expanded", String(shown));
};

const signIn = signInView((form) => client.signIn(form));
const sidebar = sidebarView({ onFind: find, onAccount: account });
const conversation = conversationView(client, {
  onBack: () => goTo(null),
  onMembers: () => showMembers(!page.classList.contains("with-members")),
  onMenu: (button) => menu(button, roomActions()),
  onFind: find,
  onJoin: join,
});
const hideMembers = () => {
  showMembers(false);
  conversation.people.focus();
};
const members = membersView({ onClose: hideMembers, onRemove: removeMember });
const page = el("div", { class: "page", hidden: true }, sidebar.root, conversation.root, members.root);
document.getElementById("app").replaceChildren(signIn.root, page, notes.root);

function roomActions() {
  const { id, name, owner } = client.room;
  const leave = () => client.leave(id).catch((problem) => notes.say(problem.message));
  if (owner?.id !== client.state.me.id) return [{ text: "Leave the room", act: leave }];
  const rename = {
    title: "Rename the room",
    submit: "Rename",
    fields: [{ name: "name", label: "Name", value: name }],
    onSubmit: (form) => client.api.renameRoom(id, form.name),
  };
  const erase = {
    title: "Delete the room",
    text: `“${name}” and all its messages are deleted for everyone.`,
    submit: "Delete for everyone",
    danger: true,
    onSubmit: () => client.deleteRoom(id),
  };
  return [
    { text: "Rename…", act: () => ask(rename) },
    { text: "Leave the room", act: leave },
    { text: "Delete…", act: () => ask(erase), danger: true },
  ];
}

function removeMember(user) {
  const { id, name } = client.room;
  ask({
    title: "Remove a member",
    text: `${user.username} will no longer read or write in “${name}”.`,
    submit: "Remove",
    danger: true,
    onSubmit: () => client.api.removeMember(id, user.id),
  });
}

let wasOpen = null;
client.subscribe((state) => {
  const signedIn = state.me !== null;
  if (signIn.root.hidden !== signedIn) {
    toggle(signIn.root, !signedIn);
    toggle(page, signedIn);
    if (!signedIn) signIn.enter();
  }
  const unread = signedIn ? totalUnread(state) : 0;
  const room = state.rooms[state.open];
  document.title = `${unread ? `(${unread}) ` : ""}${room?.name ? `${room.name} · ` : ""}chat`;
  if (!signedIn) return signIn.render(state);
  page.dataset.pane = state.open || state.offer ? "conversation" : "rooms";
  sidebar.render(state);
  conversation.render(state);
  members.render(state);
  if (wasOpen !== null && state.open === null && inAddress() === wasOpen) goTo(null); // left, removed or deleted
  if (state.open === null) showMembers(false);
  else if (state.open !== wasOpen) notes.forget(state.open);
  wasOpen = state.open;
  if (state.greeted && state.open !== inAddress() && state.offer?.id !== inAddress()) follow();
  return undefined;
});

let following = null;
function follow() {
  const id = inAddress();
  if (following === id) return;
  following = id;
  client.open(id).then((found) => {
    if (following === id) following = null;
    if (!found && inAddress() === id) goTo(null);
  });
}
addEventListener("hashchange", () => client.state.greeted && follow());

addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k" && client.state.me) {
    event.preventDefault();
    if (!document.querySelector("dialog[open]")) find();
  }
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.altKey && step && client.state.me) {
    event.preventDefault();
    const rooms = roomList(client.state);
    const at = rooms.findIndex(({ id }) => id === client.state.open);
    goTo(rooms[at + step]?.id ?? client.state.open);
  }
});

signIn.render(client.state);
signIn.enter();
client.restore();
