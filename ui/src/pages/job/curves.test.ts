import { expect, test } from 'vitest';

import type { Job, Round } from '../../api/types';
import { curve, timeLeft } from './curves';

const at = (second: number) => new Date(second * 1000).toISOString();

test('a curve is by round or by seconds since the start of the job', () => {
  const points = [
    { name: 'test_accuracy', round: 1, at: at(10), value: 0.5 },
    { name: 'test_loss', round: 1, at: at(10), value: 2 },
    { name: 'test_accuracy', round: 2, at: at(25), value: 0.75 },
  ];
  expect(curve(points, 'test_accuracy')).toEqual([
    [1, 0.5],
    [2, 0.75],
  ]);
  expect(curve(points, 'test_accuracy', 'time', at(5))).toEqual([
    [5, 0.5],
    [20, 0.75],
  ]);
});

test('time left follows from the last rounds, for a running job only', () => {
  const rounds = [1, 2, 3].map((round) => ({ round, closed_at: at(round * 4) })) as Round[];
  const job = { status: 'running', total_epochs: 10 } as Job;
  expect(timeLeft(job, rounds)).toBe(28);
  expect(timeLeft(job, rounds.slice(0, 1))).toBeNull();
  expect(timeLeft({ ...job, status: 'paused' }, rounds)).toBeNull();
});
