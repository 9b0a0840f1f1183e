// Columns, sorting and the visible range of `VirtualTable`.
import type { Snippet } from 'svelte';

export interface Column<T> {
  key: string;
  name: string;
  /** CSS grid track size, such as `minmax(160px, 2fr)`. */
  width: string;
  cell: Snippet<[T]>;
  /** Sort key of a row. A column without one is not sortable. */
  by?: (row: T) => string | number;
  number?: boolean;
}

export interface Order {
  key: string;
  down: boolean;
}

const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

export function sorted<T>(rows: T[], columns: Column<T>[], order: Order): T[] {
  const by = columns.find((column) => column.key === order.key)?.by;
  if (!by) return rows;
  const sign = order.down ? -1 : 1;
  // Computes each key once per row, not once per comparison.
  const keyed = rows.map((row) => [by(row), row] as const);
  keyed.sort(([a], [b]) => sign * compare(a, b));
  return keyed.map(([, row]) => row);
}

function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return collator.compare(String(a), String(b));
}

/** Range of rows to render: the visible ones plus a margin above and below for fast scrolling. */
export function visible(
  rows: number,
  scrolled: number,
  height: number,
  rowHeight: number,
): [from: number, to: number] {
  const OVERSCAN = 8;
  const from = Math.max(0, Math.floor(scrolled / rowHeight) - OVERSCAN);
  const to = Math.min(rows, Math.ceil((scrolled + height) / rowHeight) + OVERSCAN);
  return [Math.min(from, to), to];
}
