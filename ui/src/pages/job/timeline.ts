// Timeline of leases: one row per device, with a bar for each lease.
import type { LeaseView } from '../../api/types';

export interface TimelineRow {
  device: string;
  name: string;
  bars: Bar[];
  reported: number;
  lost: number;
}

export interface Bar {
  id: string;
  /** Start and length, as fractions of the shown time. */
  left: number;
  width: number;
  outcome: LeaseView['outcome'];
  label: string;
}

export interface Timeline {
  rows: TimelineRow[];
  /** Shown time, in milliseconds since the epoch. */
  from: number;
  to: number;
}

export const OUTCOMES: Record<LeaseView['outcome'], [color: string, label: string]> = {
  open: ['training', 'training now'],
  reported: ['waiting', 'update received'],
  returned: ['held', 'returned'],
  lapsed: ['bad', 'expired'],
  refused: ['bad', 'update rejected'],
  ended: ['offline', 'round closed'],
};

/** Timeline of the last `seconds` (0: all), with the busiest device first. */
export function timeline(leases: LeaseView[], seconds: number, now: number): Timeline {
  const endOf = (lease: LeaseView) => (lease.ended_at ? Date.parse(lease.ended_at) : now);
  const to = Math.max(...leases.map(endOf), 0);
  const first = Math.min(...leases.map((lease) => Date.parse(lease.granted_at)), to);
  const from = seconds > 0 ? Math.max(first, to - seconds * 1000) : first;
  const span = Math.max(1, to - from);
  const rows = new Map<string, TimelineRow>();
  for (const lease of leases) {
    if (endOf(lease) < from) continue;
    const row = rows.get(lease.device) ?? {
      device: lease.device,
      name: lease.device_name,
      bars: [],
      reported: 0,
      lost: 0,
    };
    rows.set(lease.device, row);
    const start = Math.max(from, Date.parse(lease.granted_at));
    const [, outcome] = OUTCOMES[lease.outcome];
    const reason = lease.reason ? ` (${lease.reason.replaceAll('_', ' ')})` : '';
    row.bars.push({
      id: lease.id,
      left: (start - from) / span,
      width: (endOf(lease) - start) / span,
      outcome: lease.outcome,
      label: `Round ${lease.round}, partition ${lease.partition}: ${outcome}${reason}`,
    });
    if (lease.outcome === 'reported') row.reported += 1;
    if (['returned', 'lapsed', 'refused'].includes(lease.outcome)) row.lost += 1;
  }
  return { rows: [...rows.values()].sort((a, b) => b.bars.length - a.bars.length), from, to };
}
