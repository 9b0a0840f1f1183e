import { expect, test } from 'vitest';

import { align } from './series';

test('series are joined on their x values, with gaps', () => {
  const joined = align([
    {
      name: 'a',
      color: '',
      points: [
        [2, 20],
        [1, 10],
      ],
    },
    { name: 'b', color: '', points: [[3, 30]] },
  ]);
  expect(joined).toEqual([
    [1, 2, 3],
    [10, 20, undefined],
    [undefined, undefined, 30],
  ]);
});
