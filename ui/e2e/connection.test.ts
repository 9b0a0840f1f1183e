// The coordinator dies while somebody looks at its page.
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

test('a lost coordinator is told, and the page lives on when it is back', async () => {
  cluster.submit(JOB.replace('NAME', 'before'));
  await page.goto(`${cluster.address}#/jobs`);
  await page.getByRole('link', { name: 'before' }).waitFor();
  // A reload would lose it.
  await page.evaluate(() => document.body.setAttribute('data-same', 'page'));

  await cluster.kill();
  const banner = page.getByRole('alert').filter({ hasText: 'Not connected.' });
  await banner.waitFor();
  expect(await banner.textContent()).toMatch(
    /What you see may be old\. The coordinator is asked again in \d+ s\./,
  );
  // What was there is there.
  await page.getByRole('link', { name: 'before' }).waitFor();
  await banner.getByRole('button', { name: 'Try now' }).click();
  await banner.waitFor();

  await cluster.startAgain();
  cluster.submit(JOB.replace('NAME', 'after'));
  await banner.waitFor({ state: 'detached', timeout: 30_000 });
  await page.getByRole('link', { name: 'after' }).waitFor();
  // And what changes from now on comes by itself.
  cluster.submit(JOB.replace('NAME', 'later'));
  await page.getByRole('link', { name: 'later' }).waitFor();
  expect(await page.evaluate(() => document.body.dataset.same)).toBe('page');
});
