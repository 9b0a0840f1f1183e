// What the form knows of each strategy: its name, and the fields of its own.
import type { components } from '../../api/schema';

type Schemas = components['schemas'];
export type StrategyName = Schemas['StrategyName'];

/** A strategy's fields besides those that every strategy has. */
export type OwnField = Exclude<keyof Schemas['StrategySpec'], 'name' | 'fraction'>;

export interface FieldWords {
  label: string;
  hint?: string;
  /** Said where the field is empty: what then holds. */
  placeholder?: string;
  min?: number;
  max?: number;
  step?: number | 'any';
  /** What the API takes where nothing is said; null lets the coordinator choose. */
  usual: number | null;
}

/** One of every field that the API has: one that is added there doesn't build here until it has words. */
export const OWN_FIELDS: Record<OwnField, FieldWords> = {
  maximum_norm: {
    label: 'Largest norm of an update',
    hint: 'A larger one is refused; 0 is no bound.',
    placeholder: "follows the job's own updates",
    min: 0,
    step: 'any',
    usual: null,
  },
};

/** Published names of strategies, and which fields each has. */
export const STRATEGIES: Record<StrategyName, { words: string; own: readonly OwnField[] }> = {
  fedavg: { words: 'FedAvg (McMahan et al. 2017)', own: ['maximum_norm'] },
};

export type OwnValues = Record<OwnField, number | null>;

const fields = Object.keys(OWN_FIELDS) as OwnField[];

/** Of what is said of a strategy, its own fields, with the usual ones for the rest. */
export function ownValues(said: Partial<OwnValues>): OwnValues {
  const values = fields.map((field) => [field, said[field] ?? OWN_FIELDS[field].usual]);
  return Object.fromEntries(values) as OwnValues;
}

/** The values with the usual ones in place of those that this strategy doesn't have. */
export function ownOf(name: StrategyName, values: OwnValues): OwnValues {
  const own = STRATEGIES[name].own;
  return ownValues(Object.fromEntries(own.map((field) => [field, values[field]])));
}

/** What can be said of a value before the coordinator is asked. */
export function wrongValue(field: OwnField, value: number | null): string | null {
  const { min, max } = OWN_FIELDS[field];
  if (value === null) return null;
  if (!Number.isFinite(value)) return 'must be a number';
  if (min !== undefined && value < min) return `must be ${min} or more`;
  if (max !== undefined && value > max) return `must be ${max} or less`;
  return null;
}
