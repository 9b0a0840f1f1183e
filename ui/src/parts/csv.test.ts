import { expect, test } from 'vitest';

import { csv } from './csv';

test('a table is CSV that no spreadsheet runs', async () => {
  const rows = [
    ['name', 'value'],
    ['a,"b"', 1.5],
    ['=1+1', null],
    ['-x', -2],
  ];
  expect(csv(rows)).toBe('name,value\r\n"a,""b""",1.5\r\n\'=1+1,\r\n\'-x,-2\r\n');
});
