// Text of the contribution table and of the progress of a lease.
import { duration, energy, NONE, short } from '../src/format';
import type { Amount, GivenView, WorkView } from './types';

export interface ContributionRow {
  name: string;
  today: string;
  total: string;
}

/** One row for each quantity that the machine ever contributed. Empty before the first lease. */
export function contributionRows({ today, total }: GivenView): ContributionRow[] {
  if (total.leases === 0 && total.examples === 0) return [];
  const row = (
    name: string,
    format: (amount: Amount) => string,
    isUsed = true,
  ): ContributionRow[] => (isUsed ? [{ name, today: format(today), total: format(total) }] : []);
  return [
    ...row('GPU time', ({ gpu_seconds }) => time(gpu_seconds), total.gpu_seconds > 0),
    ...row('CPU time', ({ cpu_seconds }) => time(cpu_seconds), total.cpu_seconds > 0),
    ...row('Examples', ({ examples }) => (examples === 0 ? NONE : short(examples))),
    ...row('Energy (estimate)', ({ watt_hours }) => energy(watt_hours)),
  ];
}

export function time(seconds: number): string {
  return seconds === 0 ? NONE : duration(Math.max(1, Math.round(seconds)));
}

/** Progress of the lease: `Step 120 of 400`. */
export function steps({ step, steps }: WorkView): string {
  if (steps === 0) return 'Downloading data and model';
  return `Step ${short(step)} of ${short(steps)}`;
}
