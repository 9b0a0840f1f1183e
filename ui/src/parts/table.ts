// Columns of a table, and how rows are sorted by them.
import type { Snippet } from 'svelte';

export interface Column<T> {
  key: string;
  name: string;
  /** Of the grid: `minmax(160px, 2fr)`. */
  width: string;
  cell: Snippet<[T]>;
  /** What rows are sorted by; a column without it is not sorted by. */
  by?: (row: T) => string | number;
  number?: boolean;
}

export interface Order {
  key: string;
  down: boolean;
}

const words = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

export function sorted<T>(rows: T[], columns: Column<T>[], order: Order): T[] {
  const by = columns.find((column) => column.key === order.key)?.by;
  if (!by) return rows;
  const sign = order.down ? -1 : 1;
  // Keys are made once a row: a collator is slow enough to matter at 10,000.
  const keyed = rows.map((row) => [by(row), row] as const);
  keyed.sort(([a], [b]) => sign * compare(a, b));
  return keyed.map(([, row]) => row);
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return words.compare(String(a), String(b));
}

/** Which rows stand in the window, with some above and below for a fast scroll. */
export function visible(
  rows: number,
  scrolled: number,
  height: number,
  rowHeight: number,
): [from: number, to: number] {
  const MORE = 8;
  const from = Math.max(0, Math.floor(scrolled / rowHeight) - MORE);
  const to = Math.min(rows, Math.ceil((scrolled + height) / rowHeight) + MORE);
  return [Math.min(from, to), to];
}
