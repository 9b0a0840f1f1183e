import { expect, test } from 'vitest';

import type { Device } from '../../api/types';
import { groups, members, stars } from './fleet';

function device(number: number, over: Partial<Device>): Device {
  return {
    id: String(number),
    name: `mac-${number}`,
    state: 'waiting',
    revoked: false,
    ...over,
  } as Device;
}

test('devices are counted by state with their reasons', () => {
  const devices = [
    device(1, { state: 'training' }),
    device(2, { state: 'held', reason: 'on_battery' }),
    device(3, { state: 'held', reason: 'in_use' }),
    device(4, { state: 'held', reason: 'in_use' }),
    device(5, { quarantined: { reason: 'updates were refused', since: '' } }),
    device(6, { revoked: true }),
    device(7, { approval: { replaces: '1', name: 'mac-1' } }),
  ];
  const found = groups(members(devices));
  expect(found.map((group) => [group.key, group.count])).toEqual([
    ['training', 1],
    ['waiting', 0],
    ['held', 3],
    ['bad', 1],
    ['offline', 0],
  ]);
  expect(found[2]?.reasons).toEqual([
    ['in use by its owner', 2],
    ['on battery', 1],
  ]);
});

test('a large fleet is drawn with few dots inside the circle', () => {
  const drawn = stars(Array.from({ length: 10_000 }, (_, index) => device(index, {})));
  expect(drawn.each).toBe(28);
  expect(drawn.stars.length).toBeLessThanOrEqual(360);
  for (const star of drawn.stars) expect(Math.hypot(star.x, star.y)).toBeLessThanOrEqual(97);
});
