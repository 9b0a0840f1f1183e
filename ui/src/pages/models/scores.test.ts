import { expect, test } from 'vitest';

import { macro, scores } from './scores';

test('scores follow from the confusion matrix', () => {
  const [a, b] = scores([
    [8, 2],
    [4, 6],
  ]);
  expect(a).toEqual({ precision: 8 / 12, recall: 0.8, f1: 16 / 22, support: 10 });
  expect(b).toEqual({ precision: 6 / 8, recall: 0.6, f1: 12 / 18, support: 10 });
});

test('a class that was never predicted has no precision and is left out of the mean', () => {
  const all = scores([
    [3, 0],
    [1, 0],
  ]);
  expect(all[1]).toEqual({ precision: null, recall: 0, f1: 0, support: 1 });
  expect(macro(all, 'precision')).toBe(0.75);
  expect(macro([], 'recall')).toBeNull();
});
