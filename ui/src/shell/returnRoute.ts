// Route that a person wanted to open before they were signed in. It is kept in the browser, because a sign-in link may
// open another tab.

const KEY = 'constellation-return-route';
/** Sign-in links are valid for five minutes. */
const LIFETIME = 10 * 60_000;

/** Keeps the route for the next sign-in in this browser. */
export function keepReturnRoute(route: string, now = Date.now()): void {
  if (isPage(route)) localStorage.setItem(KEY, JSON.stringify({ route, until: now + LIFETIME }));
}

/** Returns the kept route and forgets it. `null` if there is none, or if it is too old. */
export function takeReturnRoute(now = Date.now()): string | null {
  const kept = localStorage.getItem(KEY);
  localStorage.removeItem(KEY);
  try {
    const { route, until } = JSON.parse(kept ?? 'null') as { route: string; until: number };
    return until >= now && until <= now + LIFETIME && isPage(route) ? route : null;
  } catch {
    return null;
  }
}

/** Whether the route is a page other than the first one and the sign-in. */
export function isPage(route: string): boolean {
  return /^\/[^/]/.test(route) && !route.startsWith('/sign-in');
}
