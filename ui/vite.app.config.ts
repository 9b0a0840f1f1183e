import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// The pages of the menu-bar app, into a folder of their own: the dashboard's is what coordinators serve.
export default defineConfig({
  plugins: [svelte()],
  base: './',
  publicDir: 'app/public',
  build: {
    outDir: 'dist-app',
    // WKWebView of macOS 13, as updated; WebKitGTK is newer.
    target: 'safari16.4',
    // A data address would need a policy of its own.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: 'app.html' },
  },
});
