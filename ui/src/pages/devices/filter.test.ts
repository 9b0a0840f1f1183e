import { expect, test } from 'vitest';

import type { Device } from '../../api/types';
import { filterDevices } from './filter';

const devices = [
  { id: '1', name: 'Ada', state: 'training', labels: ['lab'] },
  { id: '2', name: 'Bea', state: 'held', reason: 'on_battery' },
  { id: '3', name: 'Cid', state: 'offline', revoked: true },
  { id: '4', name: 'Dan', state: 'waiting', quarantined: { reason: 'r', since: '' } },
  { id: '5', name: 'Eve', state: 'waiting', approval: { replaces: '1', name: 'Ada' } },
].map((one) => ({ device_type: 'mac', fingerprint: { app: '0.1.0' }, revoked: false, ...one }));

test.each([
  ['all', '', ['Ada', 'Bea', 'Dan', 'Eve']],
  ['revoked', '', ['Cid']],
  ['quarantined', '', ['Dan']],
  ['waiting', '', []],
  ['approval', '', ['Eve']],
  ['held', '', ['Bea']],
  ['all', 'BATTERY mac', ['Bea']],
  ['all', 'lab', ['Ada']],
  ['all', 'lab battery', []],
] as const)('%s with %j', (filter, search, names) => {
  const found = filterDevices(devices as unknown as Device[], filter, search);
  expect(found.map((device) => device.name)).toEqual(names);
});
