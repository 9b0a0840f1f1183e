import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { authorization, keepTabToken } from './credential';

let stored: Map<string, string>;

beforeEach(() => {
  stored = new Map();
  vi.stubGlobal('sessionStorage', {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
});
afterEach(() => {
  keepTabToken(null);
  vi.unstubAllGlobals();
});

test('the session is shown until it is forgotten', () => {
  expect(authorization()).toEqual({});
  keepTabToken('secret');
  expect([...stored.values()]).toEqual(['secret']);
  expect(authorization()).toEqual({ Authorization: 'Bearer secret' });
  keepTabToken(null);
  expect(stored.size).toBe(0);
  expect(authorization()).toEqual({});
});

test('a browser that keeps nothing has the session for as long as the page', () => {
  const refuse = () => {
    throw new Error('SecurityError');
  };
  vi.stubGlobal('sessionStorage', { getItem: refuse, setItem: refuse, removeItem: refuse });
  keepTabToken('secret');
  expect(authorization()).toEqual({ Authorization: 'Bearer secret' });
});
