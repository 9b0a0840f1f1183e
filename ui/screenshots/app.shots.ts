// The app's pages as built, in every state, light and dark, into the folder SCREENSHOTS/app. The script stands in for
// the app behind them; the real windows' pictures are made by the app's own tests. No page has anything that axe-core
// objects to, and the popover fits its window.
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { preview, type PreviewServer } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';

import type { View } from '../app/types';
import { BROWSER, BROWSER_ARGUMENTS } from '../e2e/browser';
import { INVITATIONS, SETTINGS, VIEWS } from './app.views';

const POPOVER = { width: 360, height: 520 };
const WELCOME = { width: 560, height: 480 };
const INVITATION = { width: 520, height: 600 };
const SETTINGS_WINDOW = { width: 640, height: 620 };
const LATER = 'Mon 20:30-07:00, Tue-Fri 19:00-07:00';
const POLICY =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; connect-src ipc: http://ipc.localhost";

let folder: string;
let server: PreviewServer;
let address: string;
let browser: Browser;
let script: string;

beforeAll(async () => {
  if (!process.env.SCREENSHOTS) throw new Error('SCREENSHOTS says where the pictures go');
  folder = join(process.env.SCREENSHOTS, 'app');
  mkdirSync(folder, { recursive: true });
  script = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  server = await preview({
    configFile: 'vite.app.config.ts',
    preview: { port: 0, host: '127.0.0.1', headers: { 'Content-Security-Policy': POLICY } },
  });
  address = server.resolvedUrls?.local[0] ?? '';
  browser = await chromium.launch({ executablePath: BROWSER, args: BROWSER_ARGUMENTS });
});
afterAll(async () => {
  await browser.close();
  await server.close();
});

interface Window {
  asked: string[];
  __TAURI_INTERNALS__: unknown;
}

async function open(route: string, view: View, size: { width: number; height: number }) {
  const page = await browser.newPage({ viewport: size, deviceScaleFactor: 2 });
  page.on('pageerror', (error) => expect.fail(String(error)));
  page.on('console', (line) => {
    if (/Content.Security.Policy/i.test(line.text())) expect.fail(line.text());
  });
  await page.addInitScript(standIn, { view, settings: SETTINGS });
  await page.goto(`${address}app.html#${route}`);
  await page.locator('main h1').first().waitFor();
  return page;
}

/** Answers what the pages ask, in the page. */
function standIn({ view, settings }: { view: View; settings: typeof SETTINGS }) {
  const here = window as unknown as Window;
  here.asked = [];
  const set = (key: string, value: string | null) => {
    if (key === 'IdleSeconds' && Number(value) > 86_400) throw 'at most a day: 1440 minutes';
    const told = (text: string) => (/^(true|false|[\d.]+)$/.test(text) ? JSON.parse(text) : text);
    settings.settings = settings.settings.map((one) => {
      if (one.key !== key) return one;
      return value === null
        ? { ...one, value: null, origin: 'default' }
        : { ...one, value: told(value), origin: 'user' };
    });
    return { ...settings };
  };
  here.__TAURI_INTERNALS__ = {
    transformCallback: () => 1,
    invoke: async (command: string, given: Record<string, string | null>) => {
      here.asked.push(`${command} ${JSON.stringify(given)}`);
      if (command === 'view') return view;
      if (command === 'settings') return settings;
      if (command === 'set_setting') return set(given.key ?? '', given.value ?? null);
      if (command === 'join') throw 'a join code has 16 letters and digits, this has 4';
      if (command === 'leave') return 'Removed: the key, 2 data sets and 1.2 GB of cache.';
      return null;
    },
  };
}

const asked = (page: Page) => page.evaluate(() => (window as unknown as Window).asked);

async function look(page: Page, name: string, whole = false) {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForTimeout(250);
    await page.screenshot({ path: join(folder, `${name}-${scheme}.png`), fullPage: whole });
    await page.evaluate(script);
    const { violations } = await page.evaluate(() =>
      (window as unknown as { axe: typeof axe }).axe.run(document),
    );
    const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html)}`);
    expect(found, `${name}, ${scheme}`).toEqual([]);
  }
}

test.each(Object.entries(VIEWS))('the popover: %s', async (name, view) => {
  const page = await open('/popover', view, POPOVER);
  await look(page, `popover-${name}`);
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  expect(height, 'it scrolls').toBeLessThanOrEqual(POPOVER.height);
  await page.close();
});

test('the popover is worked by the keyboard', async () => {
  const page = await open('/popover', VIEWS.training as View, POPOVER);
  await page.locator('#pause').focus();
  await page.keyboard.press('ArrowDown');
  await look(page, 'popover-menu');
  await page.keyboard.press('Escape');
  expect(await page.locator('#pause-hour').count()).toBe(0);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Escape');
  const last = (await asked(page)).slice(-2);
  expect(last).toEqual(['pause {"until":"tomorrow"}', 'close {}']);
  await page.locator('#company-sees').click();
  await look(page, 'popover-company');
  await page.close();
});

test('a code that is refused is told at its field', async () => {
  const page = await open('/popover', VIEWS['not-joined'] as View, POPOVER);
  await page.locator('#join-code').fill('ABCD');
  await page.locator('#join').click();
  await page.getByText('this has 4').waitFor();
  await page.close();
});

test.each(Object.entries(INVITATIONS))('an invitation: %s', async (name, view) => {
  const page = await open('/join', view, INVITATION);
  await page.locator('#invitation-cluster').waitFor();
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  expect(height, 'it scrolls').toBeLessThanOrEqual(INVITATION.height);
  await look(page, `join-${name}`);
  await page.keyboard.press('Escape');
  await expect.poll(() => asked(page)).toContain('close {}');
  expect(await asked(page)).toContain('decline {"invitation":"first"}');
  await page.close();
});

test('an invitation is not accepted by what somebody types as it comes up', async () => {
  const page = await open('/join', INVITATIONS.open as View, INVITATION);
  const accept = page.locator('#invitation-accept');
  expect(await accept.isDisabled()).toBe(true);
  for (const key of ['Enter', 'Space']) await page.keyboard.press(key);
  await page.locator('#invitation-accept:enabled').waitFor();
  for (const key of ['Enter', 'Space']) await page.keyboard.press(key);
  expect((await asked(page)).filter((what) => !/^(view|plugin)/.test(what))).toEqual([]);
  await page.keyboard.press('Tab');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('invitation-decline');
  await accept.click();
  await expect.poll(() => asked(page)).toContain('accept {"invitation":"first"}');
  await page.close();
});

test('the settings', async () => {
  const page = await open('/settings', VIEWS.waiting as View, SETTINGS_WINDOW);
  await look(page, 'settings', true);
  const idle = page.locator('#setting-IdleSeconds');
  await idle.fill('2000');
  await idle.blur();
  await page.getByText('at most a day').waitFor();
  await page.locator('#setting-PauseDuringCalls').click();
  await page.getByRole('button', { name: 'Undo' }).waitFor();
  await look(page, 'settings-changed');
  await page.getByLabel('Monday, from').fill('20:30');
  await page.locator('#setting-Schedule-Sun').click();
  await page.getByText('“Times” is changed').nth(1).waitFor();
  await page.getByRole('button', { name: 'Undo' }).last().click();
  await page.locator('#leave').click();
  await look(page, 'settings-leave');
  const changes = (await asked(page)).filter((what) => what.startsWith('set_setting'));
  expect(changes).toEqual([
    'set_setting {"key":"IdleSeconds","value":"120000"}',
    'set_setting {"key":"PauseDuringCalls","value":"false"}',
    `set_setting {"key":"Schedule","value":"${LATER}, Sat-Sun 00:00-24:00"}`,
    `set_setting {"key":"Schedule","value":"${LATER}, Sat 00:00-24:00"}`,
    `set_setting {"key":"Schedule","value":"${LATER}, Sat-Sun 00:00-24:00"}`,
  ]);
  await page.close();
});

test('the first start', async () => {
  const page = await open('/welcome', VIEWS.fresh as View, WELCOME);
  await look(page, 'welcome');
  await page.locator('#choose-worker').click();
  await page.locator('#choose-coordinator').click();
  await look(page, 'welcome-chosen');
  await page.locator('#welcome-next').click();
  await look(page, 'welcome-network');
  await page.locator('#welcome-next').click();
  await page.locator('#join-code').waitFor();
  await look(page, 'welcome-join');
  await page.locator('#welcome-next').click();
  await look(page, 'welcome-done');
  await page.locator('#welcome-next').click();
  const last = (await asked(page)).slice(-2);
  expect(last).toEqual(['choose {"worker":true,"coordinator":true}', 'close {}']);
  await page.close();
});
