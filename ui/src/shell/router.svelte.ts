// Hash router. Hash routes do not collide with the paths of the API and work under the app's own URL scheme.

/** Former paths that still work. */
const ALIASES: Record<string, string> = { '/enrol': '/enroll' };

class CurrentLocation {
  path = $state('');
  query = $state.raw(new URLSearchParams());

  read(): void {
    const [path = '', query = ''] = location.hash.replace(/^#/, '').split('?');
    this.path = path === '' ? '/' : (ALIASES[path] ?? path);
    this.query = new URLSearchParams(query);
  }
}

/** Path and query of the shown page. */
export const currentLocation = new CurrentLocation();
currentLocation.read();
addEventListener('hashchange', () => currentLocation.read());

export function navigate(path: string): void {
  location.hash = path;
}

/** Changes the query without adding a history entry. */
export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(currentLocation.query);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  history.replaceState(null, '', `#${currentLocation.path}${text === '' ? '' : `?${text}`}`);
  currentLocation.read();
}
