import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

import { compress } from './build/compress.ts';

// Everything that isn't the page is asked of a coordinator: CONSTELLATION_URL=http://127.0.0.1:8000.
const coordinator = process.env.CONSTELLATION_URL ?? 'http://127.0.0.1:8000';
const API =
  '^/(audit|backup|backups|blobs|datasets|devices|events|health|jobs|join-codes|metrics|models|' +
  'notices|openapi.json|profile|sessions|settings|tokens|usage|webhooks)(/|\\?|$)';
const proxy = { [API]: { target: coordinator, changeOrigin: false } };

export default defineConfig({
  plugins: [svelte(), compress()],
  base: './',
  build: { target: 'es2022', modulePreload: { polyfill: false } },
  server: { proxy },
  preview: { proxy },
  test: { include: ['src/**/*.test.ts', 'app/**/*.test.ts'] },
});
