// Renaming, archiving and deleting jobs, models and datasets, and versions of a dataset.
import { readFile } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type axe from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';
import { focused, goTo } from './keyboard';

const cluster = new Cluster();
let page: Page;
let script: string;

const JOB = `
name = "tidy"
model_type = "nlp"
dataset = "reviews"
[data]
partitions = 2
[run]
rounds = 1
`;

beforeAll(async () => {
  script = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
  page = await cluster.ready();
  add(60);
  cluster.train(JOB);
}, 180_000);
afterAll(() => cluster.stop());

/** Adds a version of the dataset with this many rows. */
function add(rows: number): void {
  const lines = Array.from({ length: rows }, (_, n) => `text ${n},${n % 2 ? 'good' : 'bad'}\n`);
  const file = join(cluster.folder, 'reviews.csv');
  writeFileSync(file, `text,label\n${lines.join('')}`);
  cluster.run(['dataset', 'add', file, '--name', 'reviews', '--new-version']);
}

const open = (route: string) => page.goto(`${cluster.address}#${route}`);

async function choose(subject: string, action: string): Promise<void> {
  await page
    .getByRole('button', { name: `Manage ${subject}`, exact: true })
    .first()
    .click();
  await page.getByRole('menuitem', { name: action, exact: true }).click();
}

async function expectAccessible(): Promise<void> {
  await page.evaluate(script);
  const { violations } = await page.evaluate(() =>
    (window as unknown as { axe: typeof axe }).axe.run(document),
  );
  expect(violations.map(({ id, nodes }) => [id, nodes.map((node) => node.html)])).toEqual([]);
}

test('a job names the version that it uses, and a new job can choose another', async () => {
  add(80);
  await open('/jobs');
  await page.getByRole('cell', { name: 'reviews@1', exact: true }).waitFor();
  await open('/jobs/new?dataset=reviews');
  const version = page.getByLabel('Version of the dataset');
  await version.waitFor();
  expect(await version.locator('option').allTextContents()).toEqual([
    'Newest (reviews@2)',
    'reviews@2, 72 rows',
    'reviews@1, 54 rows',
  ]);
  await version.selectOption('reviews@1');
  await page.getByLabel('Name', { exact: true }).fill('pinned');
  await page.getByText('The job is valid').waitFor();
  await page.getByRole('button', { name: 'Create without starting' }).click();
  await page.getByRole('heading', { name: 'pinned', exact: true }).waitFor();
  const jobs = await cluster.get<{ name: string; dataset_version: string }[]>(page, '/jobs');
  expect(jobs.find((job) => job.name === 'pinned')?.dataset_version).toBe('reviews@1');
});

test('a dataset in use is not deleted, and the message names the job', async () => {
  await open('/data/reviews');
  await page.getByRole('link', { name: 'reviews@2' }).waitFor();
  await expectAccessible();
  await choose('reviews', 'Delete…');
  const dialog = page.getByRole('dialog', { name: 'Delete reviews?' });
  await dialog.getByText('The rows of all its versions are deleted').waitFor();
  await expectAccessible();
  await dialog.getByRole('button', { name: 'Delete dataset' }).click();
  await page.getByRole('status').getByText("job 'pinned'").waitFor();
  await page.getByRole('heading', { name: 'reviews', exact: true }).waitFor();
  // Nobody uses the other version.
  await page.getByRole('button', { name: 'Delete version 2…' }).click();
  await page.getByRole('button', { name: 'Delete version', exact: true }).click();
  await page.getByRole('link', { name: 'reviews@2' }).waitFor({ state: 'detached' });
});

test('a dataset is renamed, and its jobs follow', async () => {
  await open('/data');
  await choose('reviews', 'Rename…');
  const dialog = page.getByRole('dialog', { name: 'Rename reviews' });
  await dialog.getByLabel('New name').fill('Our Reviews');
  await dialog.getByRole('button', { name: 'Rename', exact: true }).click();
  // A refused name is explained at its field.
  await dialog.getByText('cannot be a dataset').waitFor();
  await dialog.getByLabel('New name').fill('our_reviews');
  await dialog.getByRole('button', { name: 'Rename', exact: true }).click();
  await page.getByRole('link', { name: 'our_reviews', exact: true }).waitFor();
  await open('/jobs');
  await page.getByRole('cell', { name: 'our_reviews@1', exact: true }).first().waitFor();
});

test('a job is archived, restored by undo and deleted with the keyboard', async () => {
  await open('/jobs');
  await choose('tidy', 'Archive');
  await page.getByRole('link', { name: 'tidy', exact: true }).waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Undo' }).click();
  await page.getByRole('link', { name: 'tidy', exact: true }).waitFor();
  await choose('tidy', 'Archive');
  await page.getByLabel('Status').selectOption('archived');
  await page.getByRole('link', { name: 'tidy', exact: true }).waitFor();
  await expectAccessible();

  await goTo(page, 'Manage tidy');
  await page.keyboard.press('ArrowUp');
  expect(await focused(page)).toBe('Delete…');
  await page.keyboard.press('ArrowDown');
  expect(await focused(page)).toBe('Rename…');
  await expectAccessible();
  await page.keyboard.press('Escape');
  expect(await focused(page)).toBe('Manage tidy');
  await page.keyboard.press('Enter');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'Delete tidy?' }).waitFor();
  await goTo(page, 'Delete job');
  await page.keyboard.press('Enter');
  await page.getByText('No archived jobs').waitFor();
  expect(await cluster.get(page, '/jobs?archived=true')).toEqual([]);
});

test('a model stays without its job, and is archived and deleted', async () => {
  await open('/models/tidy');
  await page.getByRole('heading', { name: 'tidy', exact: true }).waitFor();
  await choose('tidy', 'Archive');
  await page.getByText('archived', { exact: true }).waitFor();
  await open('/models');
  await page.getByText('No models yet').waitFor();
  await page.getByRole('link', { name: 'Show archived models' }).click();
  await choose('tidy', 'Delete…');
  await page.getByRole('button', { name: 'Delete model' }).click();
  await page.getByText('No archived models').waitFor();
  await expectAccessible();
  expect(await cluster.get(page, '/models?archived=true')).toEqual([]);
});

test('the commands do the same, and the audit log has every change', async () => {
  const jobs = await cluster.get<{ id: string; name: string }[]>(page, '/jobs');
  const id = jobs.find((job) => job.name === 'pinned')?.id ?? '';
  cluster.run(['job', 'cancel', id]);
  expect(cluster.run(['job', 'rename', id, 'renamed'])).toContain("'renamed'");
  expect(() => cluster.run(['job', 'delete', id])).toThrow();
  cluster.run(['job', 'delete', id, '--yes']);
  cluster.run(['dataset', 'archive', 'our_reviews']);
  expect(cluster.run(['dataset', 'list', '--archived'])).toContain('our_reviews');
  expect(cluster.run(['dataset', 'show', 'our_reviews'])).toContain('our_reviews@1');
  const deleted = cluster.run(['dataset', 'delete', 'our_reviews', '--yes', '--json']);
  expect(JSON.parse(deleted)).toEqual({ deleted: 'our_reviews' });
  await open('/data?show=archived');
  await page.getByText('No archived datasets').waitFor();
  const audit = await cluster.get<{ action: string; subject: { kind: string } }[]>(
    page,
    '/audit?limit=1000',
  );
  const changes = audit
    .filter(({ action }) => ['renamed', 'archived', 'unarchived', 'removed'].includes(action))
    .map(({ action, subject }) => `${subject.kind} ${action}`);
  expect(changes).toEqual([
    'dataset removed',
    'dataset renamed',
    'job archived',
    'job unarchived',
    'job archived',
    'job removed',
    'model archived',
    'model removed',
    'job renamed',
    'job removed',
    'dataset archived',
    'dataset removed',
  ]);
});
