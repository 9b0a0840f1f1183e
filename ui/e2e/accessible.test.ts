// Accessibility: axe-core finds no violation on any page, in the light and the dark theme.
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
  '/data/add/files',
  '/enroll',
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
let job: string;

beforeAll(async () => {
  script = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  page = await cluster.ready();
  job = cluster.train(JOB);
}, 180_000);
afterAll(() => cluster.stop());

const JOB = `
name = "accessible"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 2
train_limit = 400
[run]
rounds = 2
`;

async function expectAccessible(path: string, scheme: 'light' | 'dark'): Promise<void> {
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(`${cluster.address}#${path}`);
  await page.locator('main h1').first().waitFor();
  await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
  await page.evaluate(script);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: typeof axe }).axe.run(document),
  );
  expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
}

test.each(['light', 'dark'] as const)('a job, its model and a device in %s', async (scheme) => {
  const [device] = await cluster.get<{ id: string }[]>(page, '/devices');
  await expectAccessible(`/jobs/${job}`, scheme);
  await expectAccessible('/models/accessible', scheme);
  await expectAccessible(`/devices/${device?.id}`, scheme);
});

test.each(PAGES.flatMap((path) => (['light', 'dark'] as const).map((scheme) => [path, scheme])))(
  '%s in %s',
  async (path, scheme) => {
    await expectAccessible(path as string, scheme as 'light' | 'dark');
  },
);
