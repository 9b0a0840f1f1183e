import { defineConfig } from 'vitest/config';

// `make screenshots`: vitest is only what runs TypeScript here.
export default defineConfig({
  test: { include: ['screenshots/**/*.shots.ts'], testTimeout: 600_000, hookTimeout: 300_000 },
});
