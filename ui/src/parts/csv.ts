// Tables as files for spreadsheets.
import { save } from './save';

export function saveCsv(rows: Parameters<typeof csv>[0], name: string): void {
  save(new Blob([csv(rows)], { type: 'text/csv' }), name);
}

/** A table as CSV (RFC 4180). */
export function csv(rows: (string | number | null | undefined)[][]): string {
  const cell = (value: string | number | null | undefined) => {
    const text = value == null ? '' : String(value);
    // A spreadsheet would run a text that begins like a formula.
    const plain = typeof value === 'string' && /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const lines = rows.map((row) => row.map(cell).join(','));
  return `${lines.join('\r\n')}\r\n`;
}
