// Addresses are hash routes: they don't collide with the API and suit the app's own scheme.
/** Where the page is. */
class Place {
  path = $state('');
  query = $state.raw(new URLSearchParams());

  read(): void {
    const [path = '', query = ''] = location.hash.replace(/^#/, '').split('?');
    this.path = path === '' ? '/' : path;
    this.query = new URLSearchParams(query);
  }
}

export const place = new Place();
place.read();
addEventListener('hashchange', () => place.read());

export function go(path: string): void {
  location.hash = path;
}

/** Changes the query of the address without a step in the history. */
export function setQuery(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(place.query);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === '') query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  history.replaceState(null, '', `#${place.path}${text === '' ? '' : `?${text}`}`);
  place.read();
}
