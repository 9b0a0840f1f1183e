import { expect, test } from 'vitest';

import { complete, toSpec } from './draft';
import { OWN_FIELDS, ownOf, ownValues, STRATEGIES, wrongValue } from './strategies';
import { fromToml, toToml } from './toml';

test("every field of a strategy's own goes through a job file and back", () => {
  for (const [name, { own }] of Object.entries(STRATEGIES)) {
    const said = Object.fromEntries(own.map((field, index) => [field, index + 0.5]));
    const draft = complete({ name: 'a', dataset: 'd', strategy: { ...said, name: name as never } });
    const read = fromToml(toToml(toSpec(draft)));
    expect(read).toEqual({ draft });
    expect(toSpec(draft).strategy).toMatchObject(said);
  }
});

test('a field that is empty or as usual is not said', () => {
  const draft = complete({ name: 'a', dataset: 'd' });
  expect(draft.strategy).toMatchObject(ownValues({}));
  expect(toSpec(draft).strategy).toBeUndefined();
  const none = complete({ name: 'a', dataset: 'd', strategy: { maximum_norm: 0 } });
  expect(toSpec(none).strategy).toEqual({ maximum_norm: 0 });
});

test("another strategy's fields are let go", () => {
  const values = ownValues({ maximum_norm: 3 });
  expect(ownOf('fedavg', values).maximum_norm).toBe(3);
  expect(Object.keys(ownOf('fedavg', values))).toEqual(Object.keys(OWN_FIELDS));
});

test('a value beyond its bounds is told before the coordinator is asked', () => {
  expect(wrongValue('maximum_norm', null)).toBeNull();
  expect(wrongValue('maximum_norm', 2)).toBeNull();
  expect(wrongValue('maximum_norm', -1)).toBe('must be 0 or more');
});
