import { describe, expect, test } from 'vitest';

import { complete, toSpec } from './draft';
import { fromToml, toToml } from './toml';

const FILE = `
name = "uneven"
model_type = "vision"
dataset = "synthetic_images"
seed = 7
[data]
partitions = 8
partitioner = { kind = "dirichlet", alpha = 0.5 }
[model]
layers = [
  { kind = "conv2d", channels = 16, kernel = 3, padding = 1 },
  { kind = "flatten" },
  { kind = "linear", outputs = 4 },
]
[plan]
local_epochs = 2
optimizer = { kind = "adam", learning_rate = 0.002 }
[run]
rounds = 12
`;

describe('a job file', () => {
  test('survives parsing and formatting', () => {
    const read = fromToml(FILE);
    if ('error' in read) throw new Error(read.error);
    expect(read.draft.model.layers).toHaveLength(3);
    expect(read.draft.plan.optimizer).toEqual({ kind: 'adam', learning_rate: 0.002 });
    const again = fromToml(toToml(toSpec(read.draft)));
    expect(again).toEqual(read);
  });

  test('leaves out defaults', () => {
    const draft = complete({ name: 'a', model_type: 'nlp', dataset: 'synthetic' });
    expect(toToml(toSpec(draft)).trim().split('\n')).toEqual([
      'name = "a"',
      'model_type = "nlp"',
      'dataset = "synthetic"',
    ]);
  });

  test('contains only the tables with a changed field', () => {
    const draft = complete({ name: 'a', dataset: 'd', run: { target_accuracy: 0.9 } });
    expect(toSpec(draft)).toEqual({
      name: 'a',
      model_type: 'nlp',
      dataset: 'd',
      run: { target_accuracy: 0.9 },
    });
  });

  test.each([
    ['name = ', /^Line 1, column \d+: /],
    ['partitons = 3', /Unknown field `partitons`/],
    ['[run]\nround = 3', /Unknown field `run.round`/],
    ['run = 3', /`run` must be a table/],
  ])('with an error names its place: %j', (text, message) => {
    expect(fromToml(text)).toEqual({ error: expect.stringMatching(message) });
  });
});
