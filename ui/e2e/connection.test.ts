// The coordinator stops while its page is open.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  await cluster.start();
  page = await cluster.signedIn();
});
afterAll(() => cluster.stop());

const JOB = `
name = "NAME"
model_type = "nlp"
dataset = "synthetic"
`;

test('a lost connection is reported, and the page continues after the reconnection', async () => {
  cluster.submit(JOB.replace('NAME', 'before'));
  await page.goto(`${cluster.address}#/jobs`);
  await page.getByRole('link', { name: 'before' }).waitFor();
  // A page reload would remove this marker.
  await page.evaluate(() => document.body.setAttribute('data-same', 'page'));

  await cluster.kill();
  const banner = page.getByRole('alert').filter({ hasText: 'Not connected.' });
  await banner.waitFor();
  expect(await banner.textContent()).toMatch(/This page may be out of date\. Retrying in \d+ s\./);
  // The loaded data stays visible.
  await page.getByRole('link', { name: 'before' }).waitFor();
  await banner.getByRole('button', { name: 'Retry now' }).click();
  await banner.waitFor();

  await cluster.startAgain();
  cluster.submit(JOB.replace('NAME', 'after'));
  await banner.waitFor({ state: 'detached', timeout: 30_000 });
  await page.getByRole('link', { name: 'after' }).waitFor();
  // Later changes appear without a reload.
  cluster.submit(JOB.replace('NAME', 'later'));
  await page.getByRole('link', { name: 'later' }).waitFor();
  expect(await page.evaluate(() => document.body.dataset.same)).toBe('page');
});
