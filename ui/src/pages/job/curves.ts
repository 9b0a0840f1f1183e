// Learning curves of a job, by round or by time since its start.
import type { components } from '../../api/schema';
import type { Job, Round } from '../../api/types';

export type MetricPoint = components['schemas']['MetricPoint'];
export type Metric = 'test_accuracy' | 'test_loss' | 'train_loss';
export type Axis = 'round' | 'time';

/** Points of one metric, by round or by seconds since `startedAt` (default: the first point). */
export function curve(
  points: MetricPoint[],
  name: Metric,
  axis: Axis = 'round',
  startedAt?: string | null,
): [number, number][] {
  const start = startedAt == null ? firstTime(points) : Date.parse(startedAt);
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

/** Estimated seconds left, from the duration of the last rounds. `null` before two rounds have closed. */
export function timeLeft(job: Job, rounds: Round[]): number | null {
  if (job.status !== 'running') return null;
  const closed = rounds.filter((round) => round.closed_at != null).slice(-6);
  const [first, last] = [closed.at(0), closed.at(-1)];
  if (!first?.closed_at || !last?.closed_at || closed.length < 2) return null;
  const secondsPerRound =
    (Date.parse(last.closed_at) - Date.parse(first.closed_at)) / 1000 / (closed.length - 1);
  return secondsPerRound * (job.total_epochs - last.round);
}
