// What a chart shows, apart from how it is drawn.
import type { AlignedData } from 'uplot';

export interface Series {
  name: string;
  /** A colour by the stylesheet's name. */
  colour: string;
  points: [x: number, y: number][];
  dashed?: boolean;
}

/** Joins series on their common x, with gaps where one has no point. */
export function align(series: Series[]): AlignedData {
  const xs = [...new Set(series.flatMap((one) => one.points.map(([x]) => x)))].sort(
    (a, b) => a - b,
  );
  const places = new Map(xs.map((x, index) => [x, index]));
  const columns = series.map((one) => {
    const column = new Array<number | null | undefined>(xs.length).fill(undefined);
    for (const [x, y] of one.points) column[places.get(x) ?? 0] = y;
    return column;
  });
  return [xs, ...columns] as AlignedData;
}

/** The last point, for a legend. */
export function last(series: Series): number | null {
  return series.points.at(-1)?.[1] ?? null;
}

export function seriesColour(index: number): string {
  return `series-${(index % 8) + 1}`;
}
