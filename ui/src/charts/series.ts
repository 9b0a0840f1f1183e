// Data of a line chart.
import type { AlignedData } from 'uplot';

export interface Series {
  name: string;
  /** Name of a CSS color variable, without the dashes. */
  color: string;
  points: [x: number, y: number][];
  dashed?: boolean;
}

/** Joins series on their x values. A series without a point at some x has a gap there. */
export function align(series: Series[]): AlignedData {
  const xs = [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort(
    (a, b) => a - b,
  );
  const indexes = new Map(xs.map((x, index) => [x, index]));
  const columns = series.map((one) => {
    const column = new Array<number | null | undefined>(xs.length).fill(undefined);
    for (const [x, y] of one.points) column[indexes.get(x) ?? 0] = y;
    return column;
  });
  return [xs, ...columns] as AlignedData;
}

/** Value of the last point. */
export function last(series: Series): number | null {
  return series.points.at(-1)?.[1] ?? null;
}

export function seriesColor(index: number): string {
  return `series-${(index % 8) + 1}`;
}
