import { expect, test } from 'vitest';

import type { LeaseView } from '../../api/types';
import { timeline } from './timeline';

const at = (second: number) => new Date(second * 1000).toISOString();
const lease = (over: Partial<LeaseView>): LeaseView => ({
  id: `${over.device}-${over.granted_at}`,
  device: 'a',
  device_name: 'Ada',
  round: 1,
  partition: 0,
  granted_at: at(0),
  ended_at: null,
  outcome: 'reported',
  reason: null,
  steps: 1,
  examples: 1,
  ...over,
});

const leases = [
  lease({ granted_at: at(0), ended_at: at(40) }),
  lease({ granted_at: at(40), ended_at: at(60), outcome: 'returned', reason: 'in_use' }),
  lease({ device: 'b', device_name: 'Bea', granted_at: at(60), outcome: 'open' }),
];

test('each device has a row with its leases in order', () => {
  const drawn = timeline(leases, 0, 100_000);
  expect(drawn.rows.map((row) => [row.name, row.reported, row.lost])).toEqual([
    ['Ada', 1, 1],
    ['Bea', 0, 0],
  ]);
  const bars = drawn.rows.flatMap((row) => row.bars.map((bar) => [bar.left, bar.width]));
  expect(bars).toEqual([
    [0, 0.4],
    [0.4, 0.2],
    [0.6, 0.4],
  ]);
  expect(drawn.rows[0]?.bars[1]?.label).toBe('Round 1, partition 0: returned (in use)');
});

test('leases that ended before the shown time are left out', () => {
  const drawn = timeline(leases, 50, 100_000);
  expect(drawn.from).toBe(50_000);
  expect(drawn.rows.find((row) => row.name === 'Ada')?.bars).toHaveLength(1);
  expect(timeline([], 0, 100_000).rows).toEqual([]);
});
