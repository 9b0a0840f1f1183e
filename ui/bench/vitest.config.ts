import { defineConfig } from 'vitest/config';

// `make bench-ui`: vitest is only what runs TypeScript here; nothing is asserted about time.
export default defineConfig({
  test: {
    include: ['bench/**/*.bench.ts'],
    testTimeout: 3_600_000,
    disableConsoleIntercept: true,
  },
});
