import { defineConfig } from 'vitest/config';

// For `make bench-ui`. Vitest only runs the TypeScript; no timing is asserted.
export default defineConfig({
  test: {
    include: ['bench/**/*.bench.ts'],
    testTimeout: 3_600_000,
    disableConsoleIntercept: true,
  },
});
