import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// Builds the pages of the menu-bar app. They have their own output folder; `dist` is served by coordinators.
export default defineConfig({
  plugins: [svelte()],
  base: './',
  publicDir: 'app/public',
  build: {
    outDir: 'dist-app',
    // WKWebView of an updated macOS 13. WebKitGTK is newer.
    target: 'safari16.4',
    // Inlined assets (data URLs) would need an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: 'app.html' },
  },
});
