import { expect, test } from 'vitest';

import type { LeaseView } from '../../api/types';
import { lanes } from './lanes';

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

test('each device has a lane with its leases in place', () => {
  const drawn = lanes(leases, 0, 100_000);
  expect(drawn.lanes.map((lane) => [lane.name, lane.reported, lane.lost])).toEqual([
    ['Ada', 1, 1],
    ['Bea', 0, 0],
  ]);
  const bars = drawn.lanes.flatMap((lane) => lane.bars.map((bar) => [bar.left, bar.width]));
  expect(bars).toEqual([
    [0, 0.4],
    [0.4, 0.2],
    [0.6, 0.4],
  ]);
  expect(drawn.lanes[0]?.bars[1]?.words).toBe('Round 1, partition 0: returned (in use)');
});

test('a window leaves out what ended before it', () => {
  const drawn = lanes(leases, 50, 100_000);
  expect(drawn.from).toBe(50_000);
  expect(drawn.lanes.find((lane) => lane.name === 'Ada')?.bars).toHaveLength(1);
  expect(lanes([], 0, 100_000).lanes).toEqual([]);
});
