// Import of a person's data: the plan is corrected by menu, imported and trained; a broken file leaves nothing.
import { existsSync, readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';
import { focused, goTo } from './keyboard';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  page = await cluster.ready();
});
afterAll(() => cluster.stop());

const COLORS = ['red', 'blue'];
const SHAPES = ['round', 'square', 'flat'];

/** Table whose column `label` is not what should be learned. */
function table(rows: number, header = 'text,label,shape'): Buffer {
  const line = (row: number) =>
    `words about a thing number ${row},${COLORS[row % 2]},${SHAPES[row % 3]}`;
  return Buffer.from([header, ...Array.from({ length: rows }, (_, row) => line(row))].join('\n'));
}

const csv = (name: string, buffer: Buffer) => ({ name, mimeType: 'text/csv', buffer });

async function open(): Promise<void> {
  await page.goto(`${cluster.address}#/data`);
  await page.getByRole('link', { name: 'Add dataset' }).click();
  await page.getByRole('heading', { name: 'Add dataset' }).waitFor();
}

async function choose(name: string, buffer: Buffer): Promise<void> {
  await page.getByLabel('Files', { exact: true }).setInputFiles(csv(name, buffer));
}

/** Uploads on the coordinator's disk. */
function staged(): string[] {
  const folder = join(cluster.data, 'staging');
  return existsSync(folder) ? readdirSync(folder) : [];
}

const datasets = async () =>
  (await cluster.get<{ name: string }[]>(page, '/datasets')).map((one) => one.name);

async function expectAccessible(): Promise<void> {
  const path = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  await page.evaluate(await readFile(path, 'utf8'));
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: typeof axe }).axe.run(document),
  );
  expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
}

test('a wrong guess is corrected by menu, imported and trained to the end', async () => {
  await open();
  await choose('Own things.csv', table(120));
  const role = (column: string) => page.getByLabel(`Role of ${column}`, { exact: true });
  await role('label').waitFor();
  expect(await role('label').inputValue()).toBe('label');
  expect(await datasets()).not.toContain('own_things');
  await page.getByRole('list', { name: 'Rows by class' }).getByText('red').waitFor();

  await role('shape').selectOption('label');
  await page.getByRole('list', { name: 'Rows by class' }).getByText('square').waitFor();
  expect(await role('label').inputValue()).toBe('unused');
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await expectAccessible();
  }
  expect(await datasets()).not.toContain('own_things');
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('own_things');
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: 'Imported own_things' }).waitFor();
  expect(staged()).toEqual([]);
  const { classes } = await cluster.get<{ classes: string[] }>(page, '/datasets/own_things');
  expect(classes).toEqual(['flat', 'round', 'square']);

  await page.getByRole('link', { name: 'Train on it' }).click();
  await page.getByLabel('Name', { exact: true }).fill('on-own-things');
  expect(await page.getByLabel('Dataset', { exact: true }).inputValue()).toBe('own_things');
  await page.getByLabel('Number of partitions').fill('2');
  await page.getByLabel('Rounds', { exact: true }).fill('1');
  await page.getByText('The job is valid').waitFor();
  await page.getByRole('button', { name: 'Create and start' }).click();
  await page.getByRole('heading', { name: 'on-own-things', exact: true }).waitFor();
  await page.getByText('1 of 1').waitFor({ timeout: 120_000 });
  await page.getByText('Completed').first().waitFor();
});

test('a broken file is refused with its invalid rows, and leaves nothing behind', async () => {
  await open();
  const bad = ['text,label', 'good,a', 'no label', 'neither', 'good too,b'];
  await choose('broken.csv', Buffer.from(bad.join('\n')));
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/broken\.csv/);
  expect(await page.getByRole('button', { name: 'Import', exact: true }).count()).toBe(0);
  expect(staged()).toHaveLength(1);
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('searchbox').waitFor();
  await expect.poll(staged).toEqual([]);
  expect(await datasets()).not.toContain('broken');
});

test('a removed file and a closed page delete their uploads', async () => {
  await open();
  await choose('one.csv', table(20));
  await page.getByRole('button', { name: 'Remove one.csv' }).waitFor();
  await page.getByRole('button', { name: 'Remove one.csv' }).click();
  await expect.poll(staged).toEqual([]);
  await choose('two.csv', table(20));
  await page.getByLabel('Role of label', { exact: true }).waitFor();
  expect(staged()).toHaveLength(1);
  await page.goto('about:blank');
  await expect.poll(staged).toEqual([]);
});

test('a taken name is shown at its field, and another one imports', async () => {
  await open();
  await choose('again.csv', table(40));
  await page.getByLabel('Role of label', { exact: true }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('synthetic');
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByText('is a built-in dataset').waitFor();
  expect(await page.getByLabel('Name', { exact: true }).getAttribute('aria-invalid')).toBe('true');
  await page.getByLabel('Name', { exact: true }).fill('again');
  await page.getByRole('button', { name: 'Import', exact: true }).click();
  await page.getByRole('heading', { name: 'Imported again' }).waitFor();
});

test('an open question has the focus, and a dataset is imported with the keyboard only', async () => {
  await open();
  await choose('question.csv', table(60, 'a,b,c'));
  await page.getByRole('heading', { name: 'Open questions' }).waitFor();
  await expect
    .poll(() => page.evaluate(() => document.activeElement?.tagName))
    .toMatch(/SELECT|INPUT/);
  await expectAccessible();
  // Typing selects an option of a list by its first letters.
  await page.keyboard.type('c');
  await page
    .getByRole('heading', { name: 'Open questions' })
    .waitFor({ state: 'detached', timeout: 30_000 });
  await goTo(page, 'Name');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('by_keys');
  await goTo(page, 'Import');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Imported by_keys' }).waitFor();
  expect(await focused(page)).toBe('Imported by_keys');
  await goTo(page, 'Show dataset');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'by_keys', exact: true }).waitFor();
});
