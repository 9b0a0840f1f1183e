import { expect, test } from 'vitest';

import { complete, toSpec } from './draft';
import {
  invalidReason,
  parametersOf,
  STRATEGIES,
  STRATEGY_PARAMETERS,
  withDefaults,
} from './strategies';
import { fromToml, toToml } from './toml';

test('every parameter of a strategy survives a job file', () => {
  for (const [name, { parameters }] of Object.entries(STRATEGIES)) {
    const given = Object.fromEntries(parameters.map((field, index) => [field, index + 0.5]));
    const draft = complete({
      name: 'a',
      dataset: 'd',
      strategy: { ...given, name: name as never },
    });
    const read = fromToml(toToml(toSpec(draft)));
    expect(read).toEqual({ draft });
    expect(toSpec(draft).strategy).toMatchObject(given);
  }
});

test('an empty or default parameter is left out', () => {
  const draft = complete({ name: 'a', dataset: 'd' });
  expect(draft.strategy).toMatchObject(withDefaults({}));
  expect(toSpec(draft).strategy).toBeUndefined();
  const none = complete({ name: 'a', dataset: 'd', strategy: { maximum_norm: 0 } });
  expect(toSpec(none).strategy).toEqual({ maximum_norm: 0 });
});

test('parameters of another strategy are reset', () => {
  const values = withDefaults({ maximum_norm: 3 });
  expect(parametersOf('fedavg', values).maximum_norm).toBe(3);
  expect(Object.keys(parametersOf('fedavg', values))).toEqual(Object.keys(STRATEGY_PARAMETERS));
});

test('a value outside its range is invalid', () => {
  expect(invalidReason('maximum_norm', null)).toBeNull();
  expect(invalidReason('maximum_norm', 2)).toBeNull();
  expect(invalidReason('maximum_norm', -1)).toBe('Must be 0 or more');
});
