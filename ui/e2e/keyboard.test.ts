// Tasks of an admin with a job, with the keyboard only.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';
import { focused, goTo, isIn } from './keyboard';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  await cluster.start();
  page = await cluster.signedIn();
});
afterAll(() => cluster.stop());

/** Loads a page as if its address was typed: the focus starts at the top. */
async function load(route: string): Promise<void> {
  await page.goto('about:blank');
  await page.goto(`${cluster.address}#${route}`);
  await page.locator('main h1').first().waitFor();
  await page.waitForFunction(() => document.querySelector('[aria-busy=true]') === null);
}

const heading = (name: string) => page.getByRole('heading', { name, exact: true }).waitFor();

test('the first tab stop skips the navigation', async () => {
  await load('/jobs');
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe('Skip to content');
  await page.keyboard.press('Enter');
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
  await page.keyboard.press('Tab');
  expect(await isIn(page, 'main')).toBe(true);
  // Without it the navigation comes first.
  await load('/jobs');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  expect(await isIn(page, 'main')).toBe(false);
  await page.keyboard.press('Shift+Tab');
  expect(await focused(page)).toBe('Skip to content');
});

test('a job is created', async () => {
  await load('/jobs');
  await goTo(page, 'Create job');
  await page.keyboard.press('Enter');
  await heading('New job');
  await goTo(page, 'Name');
  await page.keyboard.type('by-keys');
  await goTo(page, 'Dataset');
  // Typing selects an option of a list by its first letters.
  await page.keyboard.type('synthetic');
  await page.getByText('The job is valid').waitFor();
  await goTo(page, 'Number of partitions');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('2');
  await goTo(page, 'Create and start');
  await page.keyboard.press('Enter');
  await heading('by-keys');
  const [job] = await cluster.get<{ config: { data: { partitions: number } } }[]>(page, '/jobs');
  expect(job?.config.data.partitions).toBe(2);
});

test('arrow keys switch between the form and the TOML', async () => {
  await load('/jobs/new');
  await goTo(page, 'Form');
  await page.keyboard.press('ArrowRight');
  expect(await focused(page)).toBe('TOML');
  await goTo(page, 'Job file');
  await goTo(page, 'TOML', 'Shift+Tab');
  await page.keyboard.press('ArrowLeft');
  expect(await focused(page)).toBe('Form');
  await page.getByLabel('Dataset', { exact: true }).waitFor();
});

test('a job is canceled after its confirmation was closed once', async () => {
  await load('/jobs');
  await goTo(page, 'by-keys');
  await page.keyboard.press('Enter');
  await heading('by-keys');
  await goTo(page, 'Cancel job…');
  await page.keyboard.press('Space');
  const dialog = page.getByRole('dialog', { name: 'Cancel by-keys?' });
  await dialog.waitFor();
  expect(await isIn(page, 'dialog')).toBe(true);
  // The focus stays in the dialog.
  for (const key of ['Tab', 'Shift+Tab']) {
    for (let stop = 0; stop < 8; stop += 1) {
      await page.keyboard.press(key);
      const at = await focused(page);
      expect(at === '' || (await isIn(page, 'dialog')), at).toBe(true);
    }
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(await focused(page)).toBe('Cancel job…');
  const status = async () => (await cluster.get<{ status: string }[]>(page, '/jobs'))[0]?.status;
  expect(await status()).not.toBe('cancelled');

  await page.keyboard.press('Enter');
  await dialog.waitFor();
  await goTo(page, 'Cancel job');
  await page.keyboard.press('Enter');
  await dialog.waitFor({ state: 'detached' });
  await page.getByText('Canceled', { exact: true }).first().waitFor();
  expect(await status()).toBe('cancelled');
});
