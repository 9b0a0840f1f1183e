import { beforeEach, expect, test, vi } from 'vitest';

import { isPage, keepReturnRoute, takeReturnRoute } from './returnRoute';

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  });
});

test('a route is kept for one sign-in', () => {
  keepReturnRoute('/jobs/1?tab=log');
  expect(takeReturnRoute()).toBe('/jobs/1?tab=log');
  expect(takeReturnRoute()).toBeNull();
});

test('a route of long ago is forgotten', () => {
  keepReturnRoute('/jobs/1', 0);
  expect(takeReturnRoute(3_600_000)).toBeNull();
});

test('only pages are kept', () => {
  for (const route of ['/', '', '/sign-in/code', '//other.example', 'https://other.example'])
    expect(isPage(route), route).toBe(false);
  localStorage.setItem('constellation-return-route', 'nonsense');
  expect(takeReturnRoute()).toBeNull();
});
