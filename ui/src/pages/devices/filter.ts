// Which devices a search and a filter leave.
import type { Device } from '../../api/types';
import { stateOf } from '../../words';

export type Filter =
  'all' | 'training' | 'waiting' | 'held' | 'offline' | 'approval' | 'quarantined' | 'revoked';

export const FILTERS: Record<Filter, string> = {
  all: 'Every state',
  training: 'Training',
  waiting: 'Waiting for work',
  held: 'Held back',
  offline: 'Offline',
  approval: 'Awaiting approval',
  quarantined: 'Quarantined',
  revoked: 'Revoked',
};

export function isFilter(word: string | null): word is Filter {
  return word !== null && word in FILTERS;
}

function passes(device: Device, filter: Filter): boolean {
  if (filter === 'all') return !device.revoked;
  if (filter === 'revoked') return device.revoked;
  if (filter === 'approval') return device.approval != null && !device.revoked;
  if (filter === 'quarantined') return device.quarantined != null && !device.revoked;
  const mayWork = !device.revoked && device.quarantined == null && device.approval == null;
  return device.state === filter && mayWork;
}

/** Every word of the search is somewhere in the device. */
export function filterDevices(devices: Device[], filter: Filter, search: string): Device[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return devices.filter((device) => {
    if (!passes(device, filter)) return false;
    if (words.length === 0) return true;
    const text = [device.name, device.gpu_name, device.device_type, stateOf(device), device.id]
      .concat(device.labels ?? [], versionOf(device))
      .join(' ')
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

export function versionOf(device: Device): string {
  return device.version ?? device.fingerprint.app;
}
