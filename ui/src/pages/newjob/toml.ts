// A job as a job file, both ways.
import { parse, stringify, TomlError } from 'smol-toml';

import type { JobSpec } from '../../api/types';
import { complete, type Draft, toSpec } from './draft';

const TABLES = ['model', 'data', 'plan', 'strategy', 'run'] as const;

export function toToml(spec: JobSpec): string {
  // Plain numbers: the library writes a whole one as an integer, which serde takes for a float too.
  return stringify(toSpec(complete(spec)));
}

export type Parsed = { draft: Draft } | { wrong: string };

/** What a job file says, or what is wrong with it and where. */
export function fromToml(text: string): Parsed {
  try {
    const table = parse(text) as Record<string, unknown>;
    for (const name of TABLES) {
      const value = table[name];
      if (value !== undefined && (typeof value !== 'object' || Array.isArray(value)))
        return { wrong: `\`${name}\` is a table: write [${name}] and its fields below.` };
    }
    const usual = complete({});
    const unknown = unknownField(table, usual);
    if (unknown !== null) return { wrong: `There is no field \`${unknown}\`.` };
    return { draft: complete(table as Partial<JobSpec>) };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '');
    return { wrong: `Line ${error.line}, column ${error.column}: ${reason}.` };
  }
}

/** A strategy has fields of its own; the API says which of those it doesn't know. */
function unknownField(table: Record<string, unknown>, usual: Draft): string | null {
  const known = usual as unknown as Record<string, unknown>;
  for (const [key, value] of Object.entries(table)) {
    if (!(key in known)) return key;
    if (!TABLES.some((name) => name === key) || key === 'strategy') continue;
    const wrong = Object.keys(value as object).find((name) => !(name in (known[key] as object)));
    if (wrong !== undefined) return `${key}.${wrong}`;
  }
  return null;
}
