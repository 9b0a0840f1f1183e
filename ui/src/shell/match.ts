// Which page an address means.
import type { Component } from 'svelte';

export type Parameters = Record<string, string>;

interface Route {
  pattern: string[];
  load: () => Promise<{ default: Component<Parameters> }>;
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
