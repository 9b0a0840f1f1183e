import { defineConfig } from 'vitest/config';

// End-to-end tests with real processes and a real browser: `npm run build`, then `CONSTELLATION_BIN=… npm run e2e`.
export default defineConfig({
  test: {
    include: ['e2e/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
