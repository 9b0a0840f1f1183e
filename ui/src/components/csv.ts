// CSV export of tables.
import { saveFile } from './saveFile';

export function saveCsv(rows: Parameters<typeof csv>[0], name: string): void {
  saveFile(new Blob([csv(rows)], { type: 'text/csv' }), name);
}

/** Formats a table as CSV (RFC 4180). */
export function csv(rows: (string | number | null | undefined)[][]): string {
  const cell = (value: string | number | null | undefined) => {
    const text = value == null ? '' : String(value);
    // A spreadsheet would evaluate text that starts like a formula.
    const plain = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const lines = rows.map((row) => row.map(cell).join(','));
  return `${lines.join('\r\n')}\r\n`;
}
