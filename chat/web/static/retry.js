// What to do after a connection was lost: the close code's range is the advice.

const MAX_BACK_OFF_MS = 15_000;

/** Milliseconds to wait before the given attempt (from 0), doubling, with jitter so that not all come back at once. */
export function backOffMs(attempt, { baseMs = 500, random = Math.random() } = {}) {
  return Math.round(Math.min(MAX_BACK_OFF_MS, baseMs * 2 ** attempt) * (0.5 + random / 2));
}

/**
 * `{stop: true}` or `{afterMs}` for a socket closed with `code` and `reason`; `attempt` counts failures in a row.
 * 40xx stop · 41xx back off · 42xx and 1012 now, or when the reason says (`reconnect_after_ms=N`) · else back off.
 */
export function adviceFor({ code, reason = "", attempt = 0, random = Math.random() }) {
  if (code >= 4000 && code < 4100) return { stop: true };
  if (code >= 4100 && code < 4200) return { afterMs: backOffMs(attempt + 1, { random }) };
  const named = /reconnect_after_ms=(\d{1,6})/.exec(reason);
  if (named && attempt === 0) return { afterMs: Number(named[1]) };
  const now = code === 1012 || (code >= 4200 && code < 4300);
  if (now && attempt === 0) return { afterMs: 0 };
  return { afterMs: backOffMs(attempt, { random }) };
}

/** Why the server ended it for good, for people. */
export function stopReason(code) {
  return (
    {
      4000: "This page and the server do not understand each other. Reload to try again.",
      4011: "Your session has ended. Please sign in again.",
      4012: "This account no longer exists.",
    }[code] ?? "The server ended this connection. Please sign in again."
  );
}
