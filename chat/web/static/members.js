// Who is in the open room, and who of them is there.

import { bdi, el, iconButton, reconcile, setText } from "./dom.js";
import { emblem, hue, userName } from "./text.js";

/** The members' panel. `actions`: onClose, onRemove(user). */
export function membersView(actions) {
  const online = el("ul");
  const offline = el("ul");
  const onlineTitle = el("h3");
  const offlineTitle = el("h3");
  const head = el("header", {}, el("h2", { text: "Members" }), iconButton("close", "Close the list of members", actions.onClose));
  const root = el("aside", { class: "members", "aria-label": "Members" }, head, onlineTitle, online, offlineTitle, offline);

  root.addEventListener("keydown", ({ key }) => key === "Escape" && actions.onClose());

  return {
    root,
    render(state) {
      const room = state.rooms[state.open];
      const removes = room?.owner?.id === state.me?.id;
      const all = Object.values(room?.members ?? {}).map((member) => {
        const mine = member.user.id === state.me.id;
        return { key: member.user.id, member, mine, online: member.online || mine, removable: removes && !mine };
      });
      all.sort((one, other) => userName(one.member.user).localeCompare(userName(other.member.user)));
      show(all.filter((one) => one.online), { list: online, title: onlineTitle, name: "Online" });
      show(all.filter((one) => !one.online), { list: offline, title: offlineTitle, name: "Offline" });
    },
  };

  function show(rows, { list, title, name }) {
    setText(title, rows.length ? `${name}, ${rows.length}` : "");
    const update = (node, row, old) => row.member === old.member && row.removable === old.removable;
    reconcile(list, rows, { key: ({ key }) => key, make, update });
  }

  function make({ member: { user, role }, mine, online: isOnline, removable }) {
    const name = userName(user);
    const look = { "aria-hidden": "true", text: emblem(name), style: { "--hue": hue(user.id) } };
    const picture = el("span", { class: `avatar ${isOnline ? "online" : "offline"}`, ...look });
    const row = el("li", {}, picture, bdi(name, { class: "name" }));
    if (mine) row.append(el("span", { class: "tag", text: "you" }));
    if (role === "owner") row.append(el("span", { class: "tag", text: "owner" }));
    if (removable) row.append(iconButton("close", `Remove ${name} from the room`, () => actions.onRemove(user), { class: "remove" }));
    return row;
  }
}
