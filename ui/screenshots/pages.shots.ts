// Screenshots of every page (light, dark, narrow) with a completed and a running job. Written to the folder SCREENSHOTS.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';

import { afterAll, beforeAll, test } from 'vitest';

import { Cluster } from '../e2e/cluster';

const folder = process.env.SCREENSHOTS;
const cluster = new Cluster();
let pages: [string, string][];

const job = (name: string, dataset: string, type: string, rounds: number) => `
name = "${name}"
model_type = "${type}"
dataset = "${dataset}"
[data]
partitions = 6
partitioner = { kind = "dirichlet", alpha = 0.5 }
[run]
rounds = ${rounds}
`;

beforeAll(async () => {
  if (!folder) throw new Error('SCREENSHOTS is not set; run make screenshots');
  mkdirSync(folder, { recursive: true });
  await cluster.start();
  cluster.addWorker('studio-mac');
  cluster.addWorker('reception-mac');
  const done = cluster.train(job('topics', 'synthetic', 'nlp', 8));
  cluster.train(job('topics-again', 'synthetic', 'nlp', 5));
  const running = cluster.submit(job('shapes', 'synthetic_images', 'vision', 60));
  // Waits for a few points of the curve.
  const rounds = () => {
    const shown = cluster.run(['job', 'show', running, '--json']);
    return (JSON.parse(shown) as { current_epoch: number }).current_epoch;
  };
  while (rounds() < 5) await setTimeout(500);
  pages = [
    ['overview', '/'],
    ['jobs', '/jobs'],
    ['job', `/jobs/${done}`],
    ['new-job', '/jobs/new?dataset=synthetic'],
    ['compare', '/jobs/compare'],
    ['devices', '/devices'],
    ['models', '/models'],
    ['model', '/models/topics'],
    ['data', '/data'],
    ['dataset', '/data/synthetic_images'],
    ['import', '/data/add/files'],
    ['enroll', '/enroll'],
    ['audit', '/audit'],
    ['tokens', '/tokens'],
    ['sessions', '/sessions'],
    ['webhooks', '/webhooks'],
    ['settings', '/settings'],
  ];
});
afterAll(() => cluster.stop());

test('every page', async () => {
  const page = await cluster.signedIn();
  const [device] = await cluster.get<{ id: string }[]>(page, '/devices');
  pages.push(['device', `/devices/${device?.id}`]);
  for (const [scheme, width] of [
    ['light', 1280],
    ['dark', 1280],
    ['light', 390],
  ] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: width > 1000 ? 800 : 844 });
    for (const [name, route] of pages) {
      await page.goto(`${cluster.address}#${route}`);
      await page.locator('main h1').first().waitFor();
      await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
      await page.waitForTimeout(300);
      const path = join(folder ?? '', `${name}-${width > 1000 ? scheme : 'narrow'}.png`);
      await page.screenshot({ path, fullPage: true });
    }
  }
});
