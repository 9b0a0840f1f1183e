// A change that a person asked for: done, told, and what failed said in the API's words.
import { asFailure } from '../api/client';
import type { ChangeKind } from '../api/types';
import { touch } from '../live/live.svelte';
import { toasts } from './toasts.svelte';

export interface After {
  done: string;
  kinds?: ChangeKind[];
  undo?: () => void;
}

/** Whether it worked. */
export async function act(change: () => Promise<unknown>, after: After): Promise<boolean> {
  try {
    await change();
  } catch (error) {
    toasts.complain(asFailure(error).message);
    return false;
  }
  if (after.kinds) touch(...after.kinds);
  toasts.say(after.done, after.undo);
  return true;
}

/** Hands bytes to the browser as a file. */
export function save(bytes: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(bytes);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A table as CSV (RFC 4180). */
export function csv(rows: (string | number | null | undefined)[][]): Blob {
  const cell = (value: string | number | null | undefined) => {
    const text = value == null ? '' : String(value);
    // A spreadsheet would run a text that begins like a formula.
    const plain = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const lines = rows.map((row) => row.map(cell).join(','));
  return new Blob([`${lines.join('\r\n')}\r\n`], { type: 'text/csv' });
}
