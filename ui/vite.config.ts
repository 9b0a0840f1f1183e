import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

import { compress } from './build/compress.ts';

// Everything that isn't the page is asked of a coordinator: CONSTELLATION_URL=http://127.0.0.1:8000.
const coordinator = process.env.CONSTELLATION_URL ?? 'http://127.0.0.1:8000';
const API =
  '^/(audit|backup|backups|blobs|datasets|devices|downloads|events|health|jobs|join-codes|metrics|models|' +
  'notices|openapi.json|profile|sessions|settings|tokens|usage|webhooks)(/|\\?|$)';
// In the clear a coordinator answers only to its own host and port.
const proxy = { [API]: { target: coordinator, changeOrigin: true } };

export default defineConfig({
  plugins: [svelte(), compress()],
  base: './',
  build: { target: 'es2022', modulePreload: { polyfill: false } },
  server: { proxy },
  preview: { proxy },
  test: { include: ['src/**/*.test.ts', 'app/**/*.test.ts'] },
});
