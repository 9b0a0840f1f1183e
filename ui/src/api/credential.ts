// The session's secret, where no cookie carries it: on the coordinator's own machine. Browsers send
// cookies to every port of a host, also to another account's; this storage belongs to one tab and to one
// origin with its port. A reload keeps it, and a new tab has none.
const KEY = 'constellation-session';

/** For a browser that keeps nothing. */
let inMemory: string | null = null;

export function tabToken(): string | null {
  try {
    return sessionStorage.getItem(KEY) ?? inMemory;
  } catch {
    return inMemory;
  }
}

/** Keeps the secret of a new session; `null` forgets the one there was. */
export function keepTabToken(token: string | null): void {
  inMemory = token;
  try {
    if (token === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, token);
  } catch {
    // It lasts as long as the page, then.
  }
}

/** Headers that show the session; none where a cookie or the app's own window does. */
export function authorization(): Record<string, string> {
  const token = tabToken();
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}
