// No page has anything that axe-core objects to, in light and in dark.
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

import type axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const PAGES = [
  '/',
  '/jobs',
  '/jobs/new?dataset=synthetic_images',
  '/jobs/compare',
  '/devices',
  '/models',
  '/data',
  '/data/synthetic',
  '/enrol',
  '/audit',
  '/tokens',
  '/sessions',
  '/webhooks',
  '/settings',
  '/nowhere',
];
const cluster = new Cluster();
let page: Page;
let script: string;

beforeAll(async () => {
  script = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  await cluster.start();
  cluster.addWorker();
  page = await cluster.signedIn();
});
afterAll(() => cluster.stop());

test.each(PAGES.flatMap((path) => (['light', 'dark'] as const).map((scheme) => [path, scheme])))(
  '%s in %s',
  async (path, scheme) => {
    await page.emulateMedia({ colorScheme: scheme as 'light' | 'dark' });
    await page.goto(`${cluster.address}#${path}`);
    await page.locator('main h1').first().waitFor();
    await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
    await page.evaluate(script);
    const { violations } = await page.evaluate(() =>
      (window as unknown as { axe: typeof axe }).axe.run(document),
    );
    expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
  },
);
