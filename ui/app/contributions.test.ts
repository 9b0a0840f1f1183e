import { expect, test } from 'vitest';

import { contributionRows, steps, time } from './contributions';

const NOTHING = { leases: 0, examples: 0, gpu_seconds: 0, cpu_seconds: 0, watt_hours: 0 };
const WORK = { job_name: 'topics', round: 1, total_rounds: 2, partition: 0 };

test('time is rounded to whole seconds, with a minimum of one', () => {
  expect([0, 0.2, 61.4, 7500].map(time)).toEqual(['–', '1 s', '1 min 1 s', '2 h 5 min']);
});

test('only quantities that were contributed have a row', () => {
  expect(contributionRows({ today: NOTHING, total: NOTHING })).toEqual([]);
  const total = { leases: 3, examples: 12_400, gpu_seconds: 0, cpu_seconds: 90, watt_hours: 0.5 };
  expect(contributionRows({ today: NOTHING, total })).toEqual([
    { name: 'CPU time', today: '–', total: '1 min 30 s' },
    { name: 'Examples', today: '–', total: '12.4K' },
    { name: 'Energy (estimate)', today: '–', total: '0.5 Wh' },
  ]);
});

test('a lease without steps is still downloading', () => {
  expect(steps({ ...WORK, step: 0, steps: 0 })).toBe('Downloading data and model');
  expect(steps({ ...WORK, step: 120, steps: 400 })).toBe('Step 120 of 400');
});
