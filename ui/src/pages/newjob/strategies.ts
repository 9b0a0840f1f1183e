// Strategies and their parameters, for the form.
import type { components } from '../../api/schema';

type Schemas = components['schemas'];
export type StrategyName = Schemas['StrategyName'];

/** A parameter that only some strategies have. */
export type StrategyParameter = Exclude<keyof Schemas['StrategySpec'], 'name' | 'fraction'>;

export interface ParameterField {
  label: string;
  hint?: string;
  /** Shown while the field is empty: what the default means. */
  placeholder?: string;
  min?: number;
  max?: number;
  step?: number | 'any';
  /** Default of the API. Null lets the coordinator choose. */
  defaultValue: number | null;
}

/** Exhaustive by type: a parameter that is added to the API must be described here. */
export const STRATEGY_PARAMETERS: Record<StrategyParameter, ParameterField> = {
  maximum_norm: {
    label: 'Maximum update norm',
    hint: 'Updates with a larger norm are rejected. 0 means no limit.',
    placeholder: 'Automatic, from earlier updates',
    min: 0,
    step: 'any',
    defaultValue: null,
  },
};

/** Published name and parameters of each strategy. */
export const STRATEGIES: Record<
  StrategyName,
  { label: string; parameters: readonly StrategyParameter[] }
> = {
  fedavg: { label: 'FedAvg (McMahan et al. 2017)', parameters: ['maximum_norm'] },
};

export type ParameterValues = Record<StrategyParameter, number | null>;

const fields = Object.keys(STRATEGY_PARAMETERS) as StrategyParameter[];

/** Completes parameters with their defaults. */
export function withDefaults(given: Partial<ParameterValues>): ParameterValues {
  const values = fields.map((field) => [
    field,
    given[field] ?? STRATEGY_PARAMETERS[field].defaultValue,
  ]);
  return Object.fromEntries(values) as ParameterValues;
}

/** Resets the parameters that this strategy does not have to their defaults. */
export function parametersOf(name: StrategyName, values: ParameterValues): ParameterValues {
  const { parameters } = STRATEGIES[name];
  return withDefaults(Object.fromEntries(parameters.map((field) => [field, values[field]])));
}

/** Why a value is invalid; null if it is valid. Checked before the coordinator validates the job. */
export function invalidReason(field: StrategyParameter, value: number | null): string | null {
  const { min, max } = STRATEGY_PARAMETERS[field];
  if (value === null) return null;
  if (!Number.isFinite(value)) return 'Must be a number';
  if (min !== undefined && value < min) return `Must be ${min} or more`;
  if (max !== undefined && value > max) return `Must be ${max} or less`;
  return null;
}
