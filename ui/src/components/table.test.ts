import { expect, test } from 'vitest';

import { type Column, sorted, visible } from './table';

const columns = [
  { key: 'name', by: (row: { name: string }) => row.name },
  { key: 'none' },
] as unknown as Column<{ name: string }>[];
const rows = ['mac-10', 'Mac-2', 'mac-1'].map((name) => ({ name }));

test('names are sorted by their numbers', () => {
  const names = (down: boolean) =>
    sorted(rows, columns, { key: 'name', down }).map((row) => row.name);
  expect(names(false)).toEqual(['mac-1', 'Mac-2', 'mac-10']);
  expect(names(true)).toEqual(['mac-10', 'Mac-2', 'mac-1']);
  expect(sorted(rows, columns, { key: 'none', down: false })).toBe(rows);
});

test('only the visible rows and a margin are rendered', () => {
  expect(visible(10_000, 0, 440, 44)).toEqual([0, 18]);
  expect(visible(10_000, 44_000, 440, 44)).toEqual([992, 1018]);
  expect(visible(5, 44_000, 440, 44)).toEqual([5, 5]);
  const [from, to] = visible(10_000, 439_560, 440, 44);
  expect([to, to - from]).toEqual([10_000, 18]);
});
