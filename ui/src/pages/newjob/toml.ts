// Conversion between a draft and a job file.
import { parse, stringify, TomlError } from 'smol-toml';

import type { JobSpec } from '../../api/types';
import { complete, type Draft, toSpec } from './draft';

const TABLES = ['model', 'data', 'plan', 'strategy', 'run'] as const;

export function toToml(spec: JobSpec): string {
  // The library writes whole floats as integers, which the coordinator also accepts as floats.
  return stringify(toSpec(complete(spec)));
}

export type Parsed = { draft: Draft } | { error: string };

/** Parses a job file. An error names its place in the file. */
export function fromToml(text: string): Parsed {
  try {
    const table = parse(text) as Record<string, unknown>;
    for (const name of TABLES) {
      const value = table[name];
      if (value !== undefined && (typeof value !== 'object' || Array.isArray(value)))
        return { error: `\`${name}\` must be a table. Write [${name}] with its fields below.` };
    }
    const unknown = unknownField(table, complete({}));
    if (unknown !== null)
      return { error: `Unknown field \`${unknown}\`. Check the spelling or remove it.` };
    return { draft: complete(table as Partial<JobSpec>) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '');
    return { error: `Line ${error.line}, column ${error.column}: ${reason}.` };
  }
}

/** The first unknown field. Fields of the strategy depend on its name; the API checks those. */
function unknownField(table: Record<string, unknown>, defaults: Draft): string | null {
  const known = defaults as unknown as Record<string, unknown>;
  for (const [key, value] of Object.entries(table)) {
    if (!(key in known)) return key;
    if (!TABLES.some((name) => name === key) || key === 'strategy') continue;
    const unknown = Object.keys(value as object).find((name) => !(name in (known[key] as object)));
    if (unknown !== undefined) return `${key}.${unknown}`;
  }
  return null;
}
