import { expect, test } from 'vitest';

import { match, route } from './routeMatching';

const load = () => Promise.reject(new Error('not loaded here'));
const routes = ['/', '/jobs', '/jobs/new', '/jobs/:id'].map((pattern) => route(pattern, load));

test.each([
  ['/', 0, {}],
  ['/jobs', 1, {}],
  ['/jobs/new', 2, {}],
  ['/jobs/a%20b', 3, { id: 'a b' }],
  ['/jobs/50%', 3, { id: '50%' }],
])('%j matches', (path, index, parameters) => {
  expect(match(routes, path)).toEqual([routes[index], parameters]);
});

test.each(['/jobs/', '/jobs/1/2', '/nowhere'])('%j matches nothing', (path) => {
  expect(match(routes, path)).toBeNull();
});
