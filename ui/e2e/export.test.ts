// Files that the page generates: charts, tables and rounds.
import { readFile } from 'node:fs/promises';

import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const cluster = new Cluster();
let page: Page;
let job: string;

beforeAll(async () => {
  page = await cluster.ready();
  job = cluster.train(JOB);
}, 180_000);
afterAll(() => cluster.stop());

const JOB = `
name = "exported"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 2
train_limit = 400
[run]
rounds = 3
`;

/** Clicks a button that saves a file. Returns the name and the bytes of the file. */
async function saved(button: Locator): Promise<[string, Buffer]> {
  const downloading = page.waitForEvent('download');
  await button.click();
  const download = await downloading;
  return [download.suggestedFilename(), await readFile(await download.path())];
}

const lines = (bytes: Buffer) => bytes.toString('utf8').trimEnd().split('\r\n');

test('a chart is saved as an image with its title and legend', async () => {
  await page.goto(`${cluster.address}#/jobs/${job}`);
  const button = page.getByRole('button', { name: 'Save exported: loss as PNG' });
  await button.waitFor();
  const [name, bytes] = await saved(button);
  expect(name).toMatch(/^exported.* loss\.png$/);
  // PNG (RFC 2083): the signature, then the IHDR chunk with width and height.
  expect(bytes.subarray(0, 8).toString('hex')).toBe('89504e470d0a1a0a');
  expect(bytes.subarray(12, 16).toString('latin1')).toBe('IHDR');
  const drawn = await page.evaluate(() => {
    const figures = [...document.querySelectorAll('figure')];
    const canvas = figures.find((it) => it.textContent.includes('loss'))?.querySelector('canvas');
    return [canvas?.width ?? 0, canvas?.height ?? 0, devicePixelRatio] as const;
  });
  expect(drawn[0]).toBeGreaterThan(100);
  expect(bytes.readUInt32BE(16)).toBe(drawn[0]);
  expect(bytes.readUInt32BE(20)).toBe(drawn[1] + (34 + 18) * drawn[2]);
});

test('a chart is saved as CSV', async () => {
  await page.goto(`${cluster.address}#/jobs/${job}`);
  const button = page.getByRole('button', { name: 'Save exported: loss as CSV' });
  // The file contains what the chart shows, which follows the job with a delay of one request.
  const save = async () => {
    const [name, bytes] = await saved(button);
    expect(name).toMatch(/^exported.* loss\.csv$/);
    return lines(bytes);
  };
  await expect.poll(save, { timeout: 10_000 }).toHaveLength(4);
  const [header, ...rows] = await save();
  expect(header).toBe('round,test loss,train loss');
  expect(rows.map((row) => row.split(',')[0])).toEqual(['1', '2', '3']);
  type Round = { evaluation: { loss: number }; train_loss: number };
  const rounds = await cluster.get<Round[]>(page, `/jobs/${job}/rounds`);
  const shown = rounds.map((round) => [round.evaluation.loss, round.train_loss]);
  expect(rows.map((row) => row.split(',').slice(1).map(Number))).toEqual(shown);
});

test('rounds are saved as CSV', async () => {
  await page.goto(`${cluster.address}#/jobs/${job}?tab=rounds`);
  await page.getByRole('heading', { name: '3 rounds' }).waitFor();
  const [name, bytes] = await saved(page.getByRole('button', { name: 'Save as CSV', exact: true }));
  expect(name).toBe('exported-rounds.csv');
  const [header, ...rows] = lines(bytes);
  expect(header).toMatch(/^round,opened_at,closed_at,seats,reported,test_accuracy,/);
  expect(rows).toHaveLength(3);
  expect(new Set(rows.map((row) => row.split(',').length))).toEqual(
    new Set([header?.split(',').length]),
  );
});

test('a model and a job show who created them', async () => {
  const [{ created_by: who } = { created_by: '' }] = await cluster.get<{ created_by: string }[]>(
    page,
    '/jobs',
  );
  expect(who).not.toBe('');
  await page.goto(`${cluster.address}#/models/exported`);
  await page.getByRole('definition').filter({ hasText: who }).waitFor();
  await page.goto(`${cluster.address}#/jobs/${job}?tab=about`);
  await page
    .getByRole('definition')
    .filter({ hasText: `by ${who}` })
    .waitFor();
});
