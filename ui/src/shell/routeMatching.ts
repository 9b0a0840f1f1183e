// Matching of a path against route patterns.
import type { Component } from 'svelte';

export type Parameters = Record<string, string>;

interface Route {
  pattern: string[];
  load: () => Promise<{ default: Component<Parameters> }>;
}

export function route(pattern: string, load: Route['load']): Route {
  return { pattern: pattern.split('/'), load };
}

/** Returns the first matching route and the values of its `:parameters`. */
export function match(routes: Route[], path: string): [Route, Parameters] | null {
  const segments = path.split('/');
  for (const one of routes) {
    if (one.pattern.length !== segments.length) continue;
    const found: Parameters = {};
    const matches = one.pattern.every((piece, index) => {
      const segment = segments[index] ?? '';
      if (!piece.startsWith(':')) return piece === segment;
      found[piece.slice(1)] = decode(segment);
      return segment !== '';
    });
    if (matches) return [one, found];
  }
  return null;
}

/** Decodes a path segment. Returns it unchanged if it is not valid percent-encoding. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
