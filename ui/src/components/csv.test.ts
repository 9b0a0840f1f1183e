import { expect, test } from 'vitest';

import { csv } from './csv';

test('cells are quoted, and text that looks like a formula is escaped', async () => {
  const rows = [
    ['name', 'value'],
    ['a,"b"', 1.5],
    ['=1+1', null],
    ['-x', -2],
  ];
  expect(csv(rows)).toBe('name,value\r\n"a,""b""",1.5\r\n\'=1+1,\r\n\'-x,-2\r\n');
});
