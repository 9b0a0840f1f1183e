import { expect, test } from 'vitest';

import { NONE, ago, bytes, count, duration, energy, percent, plural } from './format';

test.each([
  [0.0123, '12 ms'],
  [0.97, '1 s'],
  [42.25, '42.3 s'],
  [60, '1 min'],
  [125, '2 min 5 s'],
  [7260, '2 h 1 min'],
  [86_400, '1 d'],
])('%d seconds are %j', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test.each([
  ['2026-01-01T00:00:00Z', 'just now'],
  ['2025-12-31T23:57:30Z', '2 min ago'],
  ['2025-12-29T00:00:00Z', '3 d ago'],
  ['2026-01-01T02:30:00Z', 'in 2 h'],
])('%j is %j', (time, text) => {
  expect(ago(time, Date.parse('2026-01-01T00:00:00Z'))).toBe(text);
});

test('numbers have units, and a missing number is a dash', () => {
  expect([bytes(512), bytes(1536), bytes(5 * 1024 ** 3)]).toEqual(['512 B', '1.5 KiB', '5 GiB']);
  expect([percent(0.8934), count(12_345), plural(1, 'row'), plural(2, 'row')]).toEqual([
    '89.3%',
    '12,345',
    '1 row',
    '2 rows',
  ]);
  expect([bytes(null), percent(undefined), duration(null), ago(null, 0)]).toEqual(
    Array.from({ length: 4 }, () => NONE),
  );
});

test('energy is shown in Wh or kWh with at most three digits', () => {
  const shown = [0, 0.01, 0.42, 9.94, 9.96, 35.4, 999, 999.6, 1234, 150_000].map(energy);
  expect(shown).toEqual([
    '–',
    'under 0.1 Wh',
    '0.4 Wh',
    '9.9 Wh',
    '10 Wh',
    '35 Wh',
    '999 Wh',
    '1.0 kWh',
    '1.2 kWh',
    '150 kWh',
  ]);
});
