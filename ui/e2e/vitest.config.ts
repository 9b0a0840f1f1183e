import { defineConfig } from 'vitest/config';

// Real processes and a real browser: `CONSTELLATION_BIN=… npm run e2e`, after `npm run build`.
export default defineConfig({
  test: {
    include: ['e2e/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
