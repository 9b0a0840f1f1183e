import { defineConfig } from 'vitest/config';

// For `make screenshots`. Vitest only runs the TypeScript; these are not tests.
export default defineConfig({
  test: { include: ['screenshots/**/*.shots.ts'], testTimeout: 600_000, hookTimeout: 300_000 },
});
