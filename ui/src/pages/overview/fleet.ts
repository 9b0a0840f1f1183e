// The fleet as a picture: devices around their coordinator, nearest those that train.
import type { Device } from '../../api/types';
import type { HoldReason } from '../../api/types';
import { REASONS, STATES } from '../../words';

export interface Group {
  key: 'training' | 'waiting' | 'held' | 'offline' | 'bad';
  name: string;
  count: number;
  /** Why, the most frequent first. */
  reasons: [string, number][];
}

export interface Star {
  x: number;
  y: number;
  colour: string;
  words: string;
  linked: boolean;
  href: string | null;
}

const ORDER: Group['key'][] = ['training', 'waiting', 'held', 'bad', 'offline'];
/** More dots than this can't be told apart; each then stands for several devices. */
const MOST_STARS = 360;
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

export function groupOf(device: Device): Group['key'] {
  return device.quarantined ? 'bad' : device.state;
}

/** Devices that count: a revoked one is no longer of the cluster, and one that waits for approval not yet. */
export function members(devices: Device[]): Device[] {
  return devices.filter((device) => !device.revoked && device.approval == null);
}

export function groups(devices: Device[]): Group[] {
  const found = new Map(
    ORDER.map((key) => [key, { count: 0, reasons: new Map<string, number>() }]),
  );
  for (const device of devices) {
    const group = found.get(groupOf(device));
    if (!group) continue;
    group.count += 1;
    const why = reasonOf(device);
    if (why) group.reasons.set(why, (group.reasons.get(why) ?? 0) + 1);
  }
  return ORDER.map((key) => {
    const { count, reasons } = found.get(key) ?? { count: 0, reasons: new Map() };
    const name = key === 'bad' ? 'Quarantined' : STATES[key];
    return { key, name, count, reasons: [...reasons].sort(([, a], [, b]) => b - a) };
  });
}

function reasonOf(device: Device): string | null {
  if (device.quarantined) return device.quarantined.reason;
  return device.state === 'held' && device.reason ? REASONS[device.reason as HoldReason] : null;
}

/** Dots on a sunflower's spiral (Vogel 1979), in a circle of radius 100 about the coordinator. */
export function stars(devices: Device[]): { stars: Star[]; each: number; size: number } {
  const each = Math.ceil(devices.length / MOST_STARS);
  const inOrder = ORDER.flatMap((key) => devices.filter((device) => groupOf(device) === key));
  const picked = inOrder.filter((_, index) => index % each === 0);
  const inner = 24;
  const placed = picked.map((device, index) => {
    // Equal areas: a few devices stand on a ring of their own, many fill the circle.
    const part = picked.length < 12 ? 0.55 : (index + 0.5) / picked.length;
    const radius = Math.sqrt(inner ** 2 + part * (96 ** 2 - inner ** 2));
    const angle =
      picked.length < 12
        ? (index / picked.length) * 2 * Math.PI - Math.PI / 2
        : index * GOLDEN_ANGLE;
    const state = groupOf(device);
    return {
      x: radius * Math.cos(angle),
      y: radius * Math.sin(angle),
      colour: state,
      words: each > 1 ? `${each} devices such as ${device.name}` : device.name,
      linked: state === 'training' && picked.length <= 80,
      href: each > 1 ? null : `#/devices/${device.id}`,
    };
  });
  return {
    stars: placed,
    each,
    size: Math.max(2.2, Math.min(7, 62 / Math.sqrt(picked.length + 1) / 2)),
  };
}
