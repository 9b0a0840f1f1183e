// Leases as bars in a lane for each device.
import type { LeaseView } from '../../api/types';

export interface Lane {
  device: string;
  name: string;
  bars: Bar[];
  reported: number;
  lost: number;
}

export interface Bar {
  id: string;
  /** Where it begins and how long it is, as shares of the whole. */
  left: number;
  width: number;
  outcome: LeaseView['outcome'];
  words: string;
}

export interface Lanes {
  lanes: Lane[];
  from: number;
  to: number;
}

export const OUTCOMES: Record<LeaseView['outcome'], [colour: string, words: string]> = {
  open: ['training', 'training now'],
  reported: ['waiting', 'reported'],
  returned: ['held', 'returned'],
  lapsed: ['bad', 'lapsed'],
  refused: ['bad', 'refused'],
  ended: ['offline', 'ended with its round'],
};

/** Lanes over the last `seconds` (all where 0), the busiest device first. */
export function lanes(leases: LeaseView[], seconds: number, now: number): Lanes {
  const end = (lease: LeaseView) => (lease.ended_at ? Date.parse(lease.ended_at) : now);
  const to = Math.max(...leases.map(end), 0);
  const first = Math.min(...leases.map((lease) => Date.parse(lease.granted_at)), to);
  const from = seconds > 0 ? Math.max(first, to - seconds * 1000) : first;
  const span = Math.max(1, to - from);
  const found = new Map<string, Lane>();
  for (const lease of leases) {
    if (end(lease) < from) continue;
    const lane = found.get(lease.device) ?? {
      device: lease.device,
      name: lease.device_name,
      bars: [],
      reported: 0,
      lost: 0,
    };
    found.set(lease.device, lane);
    const begin = Math.max(from, Date.parse(lease.granted_at));
    const [, outcome] = OUTCOMES[lease.outcome];
    const why = lease.reason ? ` (${lease.reason.replaceAll('_', ' ')})` : '';
    lane.bars.push({
      id: lease.id,
      left: (begin - from) / span,
      width: (end(lease) - begin) / span,
      outcome: lease.outcome,
      words: `Round ${lease.round}, partition ${lease.partition}: ${outcome}${why}`,
    });
    if (lease.outcome === 'reported') lane.reported += 1;
    if (['returned', 'lapsed', 'refused'].includes(lease.outcome)) lane.lost += 1;
  }
  return { lanes: [...found.values()].sort((a, b) => b.bars.length - a.bars.length), from, to };
}
