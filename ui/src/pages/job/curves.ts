// A job's curves, by round and by the time since it began.
import type { components } from '../../api/schema';
import type { Job, Round } from '../../api/types';

export type MetricPoint = components['schemas']['MetricPoint'];
export type Metric = 'test_accuracy' | 'test_loss' | 'train_loss';
export type Axis = 'round' | 'time';

/** By round, or by seconds since `began`. */
export function curve(
  points: MetricPoint[],
  name: Metric,
  axis: Axis = 'round',
  began?: string | null,
): [number, number][] {
  const start = began == null ? firstTime(points) : Date.parse(began);
  return points
    .filter((point) => point.name === name)
    .map((point) => [
      axis === 'round' ? point.round : (Date.parse(point.at) - start) / 1000,
      point.value,
    ]);
}

function firstTime(points: MetricPoint[]): number {
  return points.length === 0 ? 0 : Math.min(...points.map((point) => Date.parse(point.at)));
}

/** The best round on the test split is for reading, never for choosing: the last one is registered. */
export function lastEvaluation(rounds: Round[]): Round | null {
  return rounds.findLast((round) => round.evaluation != null) ?? null;
}

/** Seconds that are left at the pace of the last rounds; `null` before the second. */
export function timeLeft(job: Job, rounds: Round[]): number | null {
  if (job.status !== 'running') return null;
  const closed = rounds.filter((round) => round.closed_at != null).slice(-6);
  const [first, last] = [closed.at(0), closed.at(-1)];
  if (!first?.closed_at || !last?.closed_at || closed.length < 2) return null;
  const pace =
    (Date.parse(last.closed_at) - Date.parse(first.closed_at)) / 1000 / (closed.length - 1);
  return pace * (job.total_epochs - last.round);
}
