// How names, messages and times look: pure functions from values to text or to parts of text.

const segmenter = typeof Intl.Segmenter === "function" ? new Intl.Segmenter() : null;
const EMOJI = /\p{Extended_Pictographic}|\p{Regional_Indicator}{2}|[0-9#*]\uFE0F?\u20E3/u;
const MAX_JUMBO = 6;

/** The user-perceived characters of `text`. */
export function graphemes(text) {
  return segmenter ? Array.from(segmenter.segment(text), (part) => part.segment) : Array.from(text);
}

/** One character that stands for a name: its first emoji, else its first letter or number. */
export function emblem(name) {
  const parts = graphemes(name);
  const letter = parts.find((part) => /[\p{L}\p{N}]/u.test(part)) ?? parts[0] ?? "?";
  return parts.find((part) => EMOJI.test(part)) ?? letter.toLocaleUpperCase();
}

/** A hue (0–359) that is always the same for the same id, and far from those of similar ids (FNV-1a). */
export function hue(id) {
  let hash = 0x811c9dc5;
  for (const character of id) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193);
  return ((hash ^ (hash >>> 15)) >>> 0) % 360;
}

/** How a user is called, also after the account is gone. */
export function userName(user) {
  return user?.username ?? "deleted user";
}

/** What the server says is wrong, as a sentence. */
export function sentence(text) {
  const said = text.charAt(0).toLocaleUpperCase() + text.slice(1);
  return /[.!?…]$/u.test(said) ? said : `${said}.`;
}

const BROWSERS = [/(Edg)e?\//u, /(OPR|Opera)\//u, /(Firefox)\//u, /(Chrom)(?:e|ium)\//u, /Version\/\S+ .*(Safari)\//u];
const BROWSER_NAMES = { Edg: "Edge", OPR: "Opera", Chrom: "Chrome" };
const SYSTEMS = [["Android", "Android"], ["iPhone", "iPhone"], ["iPad", "iPad"], ["Windows", "Windows"], ["Mac OS X", "Mac"]];

/** What a session is used with, by its User-Agent: "Firefox on Windows", else as the client calls itself. */
export function deviceName(agent) {
  const found = BROWSERS.map((pattern) => pattern.exec(agent)?.[1]).find(Boolean);
  if (!agent.startsWith("Mozilla/") || !found) return agent || "Unknown device";
  const system = [...SYSTEMS, ["Linux", "Linux"]].find(([sign]) => agent.includes(sign))?.[1];
  return system ? `${BROWSER_NAMES[found] ?? found} on ${system}` : (BROWSER_NAMES[found] ?? found);
}

/** True if `content` is nothing but a few emoji, which then may be shown large. */
export function isJumbo(content) {
  const parts = graphemes(content.trim()).filter((part) => part.trim());
  return parts.length > 0 && parts.length <= MAX_JUMBO && parts.every((part) => EMOJI.test(part));
}

/** `content` as parts `{text}` and `{text, href}`; only http and https become links. */
export function linkParts(content) {
  const parts = [];
  let end = 0;
  for (const match of content.matchAll(/https?:\/\/[^\s<>"'`]+/giu)) {
    const href = match[0].replace(/[.,;:!?)\]}…。、]+$/u, "");
    if (match.index > end) parts.push({ text: content.slice(end, match.index) });
    parts.push({ text: href, href });
    end = match.index + href.length;
  }
  if (end < content.length) parts.push({ text: content.slice(end) });
  return parts;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const shortClock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

const startOfDay = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate());
const daysBetween = (earlier, later) => Math.round((startOfDay(later) - startOfDay(earlier)) / 86_400_000);

/** The time of day. */
export const timeOfDay = (at) => clock.format(at);
/** The time of day where there is little room. */
export const shortTime = (at) => shortClock.format(at);
/** Day and time in full, for a tooltip. */
export const fullTime = (at) => full.format(at);

/** The heading of a day in a conversation. */
export function dayName(at, now) {
  const days = daysBetween(at, now);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return days > 1 && days < 7 ? weekday.format(at) : date.format(at);
}

/** When something last happened, short: a time today, else a day. */
export function briefTime(at, now) {
  const days = daysBetween(at, now);
  if (days === 0) return clock.format(at);
  if (days === 1) return "Yesterday";
  return short.format(at);
}

/** "Ada", "Ada and Zoé", "Ada, Zoé and 3 others". */
export function listNames(names, { most = 2 } = {}) {
  if (names.length <= 1) return names.join("");
  if (names.length <= most) return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  const others = names.length - most;
  return `${names.slice(0, most).join(", ")} and ${others} other${others === 1 ? "" : "s"}`;
}
