// Addresses are hash routes: they don't collide with the API and suit the app's own scheme.
import type { Component } from 'svelte';

export type Parameters = Record<string, string>;

interface Route {
  pattern: string[];
  load: () => Promise<{ default: Component<Parameters> }>;
}

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

export function route(pattern: string, load: Route['load']): Route {
  return { pattern: pattern.split('/'), load };
}

/** The first route that a path matches, and what stands for its `:names`. */
export function match(routes: Route[], path: string): [Route, Parameters] | null {
  const parts = path.split('/');
  for (const one of routes) {
    if (one.pattern.length !== parts.length) continue;
    const found: Parameters = {};
    const matches = one.pattern.every((piece, index) => {
      const part = parts[index] ?? '';
      if (!piece.startsWith(':')) return piece === part;
      found[piece.slice(1)] = decode(part);
      return part !== '';
    });
    if (matches) return [one, found];
  }
  return null;
}

/** As written where it can't be decoded: an address is typed by people. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
