import { expect, test } from 'vitest';

import { energy, given, steps, time } from './amounts';

const NOTHING = { leases: 0, examples: 0, gpu_seconds: 0, cpu_seconds: 0, watt_hours: 0 };
const WORK = { job_name: 'topics', round: 1, total_rounds: 2, partition: 0 };

test('energy has the unit that suits it', () => {
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

test('time is told in whole seconds, and the least of it as one', () => {
  expect([0, 0.2, 61.4, 7500].map(time)).toEqual(['–', '1 s', '1 min 1 s', '2 h 5 min']);
});

test('only what was given has a line', () => {
  expect(given({ today: NOTHING, total: NOTHING })).toEqual([]);
  const total = { leases: 3, examples: 12_400, gpu_seconds: 0, cpu_seconds: 90, watt_hours: 0.5 };
  expect(given({ today: NOTHING, total })).toEqual([
    { name: 'CPU time', today: '–', total: '1 min 30 s' },
    { name: 'Examples', today: '–', total: '12.4K' },
    { name: 'Energy, estimated', today: '–', total: '0.5 Wh' },
  ]);
});

test('a lease without steps is still fetching', () => {
  expect(steps({ ...WORK, step: 0, steps: 0 })).toBe('Fetching what it needs');
  expect(steps({ ...WORK, step: 120, steps: 400 })).toBe('Step 120 of 400');
});
