import { expect, test } from 'vitest';

import { isLoopback } from './loopback';

test('a host is this computer or not', () => {
  for (const host of ['localhost', '127.0.0.1', '127.0.0.2', '[::1]', 'LOCALHOST.']) {
    expect(isLoopback(host), host).toBe(true);
  }
  for (const host of ['mac.local', '10.0.0.1', 'localhost.example', '127.0.0.1.example', '']) {
    expect(isLoopback(host), host).toBe(false);
  }
});
