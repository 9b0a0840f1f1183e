import { expect, test } from 'vitest';

import { align } from './series';

test('series are joined on their common x, with gaps', () => {
  const joined = align([
    {
      name: 'a',
      colour: '',
      points: [
        [2, 20],
        [1, 10],
      ],
    },
    { name: 'b', colour: '', points: [[3, 30]] },
  ]);
  expect(joined).toEqual([
    [1, 2, 3],
    [10, 20, undefined],
    [undefined, undefined, 30],
  ]);
});
