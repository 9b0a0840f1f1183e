// What a machine gave, as people read it.
import { duration, NONE, short } from '../src/format';
import type { Amount, GivenView, WorkView } from './types';

export interface Line {
  name: string;
  today: string;
  total: string;
}

/** One line for each kind of thing that was ever given; none where nothing was. */
export function given({ today, total }: GivenView): Line[] {
  if (total.leases === 0 && total.examples === 0) return [];
  const line = (name: string, of: (amount: Amount) => string, is = true): Line[] =>
    is ? [{ name, today: of(today), total: of(total) }] : [];
  return [
    ...line('GPU time', ({ gpu_seconds }) => time(gpu_seconds), total.gpu_seconds > 0),
    ...line('CPU time', ({ cpu_seconds }) => time(cpu_seconds), total.cpu_seconds > 0),
    ...line('Examples', ({ examples }) => (examples === 0 ? NONE : short(examples))),
    ...line('Energy, estimated', ({ watt_hours }) => energy(watt_hours)),
  ];
}

export function time(seconds: number): string {
  return seconds === 0 ? NONE : duration(Math.max(1, Math.round(seconds)));
}

/** Three digits at most: `0.4 Wh`, `35 Wh`, `1.2 kWh`. */
export function energy(wattHours: number): string {
  if (wattHours === 0) return NONE;
  if (wattHours < 0.05) return 'under 0.1 Wh';
  if (wattHours < 9.95) return `${wattHours.toFixed(1)} Wh`;
  if (wattHours < 999.5) return `${wattHours.toFixed(0)} Wh`;
  return `${(wattHours / 1000).toFixed(wattHours < 99_500 ? 1 : 0)} kWh`;
}

/** How far the lease is: `Step 120 of 400`. */
export function steps({ step, steps }: WorkView): string {
  if (steps === 0) return 'Fetching what it needs';
  return `Step ${short(step)} of ${short(steps)}`;
}
