// Tasks of an admin in a real browser, against a real coordinator with real workers.
import { readFile } from 'node:fs/promises';

import { blake3 } from '@noble/hashes/blake3.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  await cluster.start();
  cluster.addWorker();
  cluster.addWorker();
  page = await cluster.signedIn();
});
afterAll(() => cluster.stop());

const open = (route: string) => page.goto(`${cluster.address}#${route}`);

test('an unknown person sees how to sign in, and a used link is refused', async () => {
  // The earlier sign-in succeeded at the first attempt.
  const audit = await cluster.get<{ action: string }[]>(page, '/audit');
  expect(audit.map((entry) => entry.action)).not.toContain('refused');
  const stranger = await cluster.stranger();
  await stranger.goto(cluster.address);
  await stranger.getByText('constellation coordinator sign-in').waitFor();
  await stranger.goto(`${cluster.address}#/sign-in/00000000000000000000000000000000`);
  await stranger.getByRole('alert').waitFor();
  await stranger.close();
});

test('a job created with the form completes, and its model has the shown hash', async () => {
  await open('/jobs/new');
  await page.getByLabel('Name', { exact: true }).fill('by-the-form');
  await page.getByLabel('Dataset', { exact: true }).selectOption('synthetic');
  await page.getByLabel('Number of partitions').fill('4');
  await page.getByLabel('Rounds', { exact: true }).fill('3');
  await page.getByRole('button', { name: 'Create and start' }).click();
  await page.getByRole('heading', { name: 'by-the-form', exact: true }).waitFor();
  await page.getByText('3 of 3').waitFor({ timeout: 120_000 });
  await page.getByText('Completed').first().waitFor();

  await open('/models/by-the-form');
  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download safetensors' }).click();
  const bytes = await readFile(await (await downloading).path());
  const hash = bytesToHex(blake3(bytes));
  const [model] = await cluster.get<{ blake3: string }[]>(page, '/models');
  expect(hash).toBe(model?.blake3);
  await page.getByText(hash).waitFor();
});

test('a model predicts and gets a stage', async () => {
  await open('/models/by-the-form');
  await page.getByLabel('Text', { exact: true }).fill('planets and stars around a distant sun');
  await page.getByRole('button', { name: 'Predict' }).click();
  const classes = page.getByRole('list', { name: 'Classes, most probable first' });
  await classes.waitFor({ timeout: 60_000 });
  expect(await classes.getByRole('listitem').count()).toBe(4);

  await page.getByRole('button', { name: 'Set stage…' }).click();
  await page.getByLabel('Stage', { exact: true }).fill('production');
  await page.getByRole('button', { name: 'Set', exact: true }).click();
  await page.getByText('Version 1 is production').waitFor();
  const models = await cluster.get<{ stage: string | null }[]>(page, '/models');
  expect(models.map((model) => model.stage)).toEqual(['production']);
});

test('a device gets a name and labels', async () => {
  await open('/devices');
  await page.getByRole('cell').getByRole('link').first().click();
  await page.getByRole('button', { name: 'Name and labels' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('the one by the window');
  await dialog.getByLabel('Labels', { exact: true }).fill('lab, quiet');
  await dialog.getByLabel('Labels', { exact: true }).press('Enter');
  await page.getByRole('heading', { name: 'the one by the window' }).waitFor();
  const devices = await cluster.get<{ name: string; labels: string[] }[]>(page, '/devices');
  const named = devices.find((device) => device.name === 'the one by the window');
  expect(named?.labels).toEqual(['lab', 'quiet']);
});

test('an invalid job shows the error at its field and cannot be created', async () => {
  await open('/jobs/new');
  await page.getByLabel('Name', { exact: true }).fill('too-large');
  await page.getByLabel('Dataset', { exact: true }).selectOption('synthetic');
  await page.getByLabel('Batch size').fill('99999999');
  await page.getByRole('alert').filter({ hasText: 'plan.batch_size' }).waitFor();
  expect(await page.getByLabel('Batch size').getAttribute('aria-invalid')).toBe('true');
  // An invalid job cannot be submitted.
  expect(await page.getByRole('button', { name: 'Create without starting' }).isEnabled()).toBe(
    false,
  );
  const jobs = await cluster.get<{ name: string }[]>(page, '/jobs');
  expect(jobs.map((job) => job.name)).not.toContain('too-large');
});

test('the form and the TOML edit the same draft, and switching between them creates no job', async () => {
  await open('/jobs');
  await open('/jobs/new?dataset=synthetic');
  await page.getByLabel('Name', { exact: true }).fill('two-sides');
  await page.getByText('The job is valid').waitFor();
  await page.getByRole('tab', { name: 'TOML' }).click();
  const file = page.getByLabel('Job file');
  await file.waitFor();
  await file.fill((await file.inputValue()) + '[run]\nrounds = 7\n');
  await page.getByRole('tab', { name: 'Form' }).click();
  expect(await page.getByLabel('Rounds', { exact: true }).inputValue()).toBe('7');
  // This includes the parameters of the strategy.
  await page.getByLabel('Maximum update norm').fill('2.5');
  await page.getByRole('tab', { name: 'TOML' }).click();
  expect(await file.inputValue()).toContain('[strategy]\nmaximum_norm = 2.5');
  await file.fill((await file.inputValue()).replace('= 2.5', '= 4'));
  await page.getByRole('tab', { name: 'Form' }).click();
  expect(await page.getByLabel('Maximum update norm').inputValue()).toBe('4');
  const jobs = await cluster.get<{ name: string }[]>(page, '/jobs');
  expect(jobs.map((job) => job.name)).not.toContain('two-sides');
});

test('a device is revoked', async () => {
  await open('/devices');
  await page.getByRole('cell').getByRole('link').first().click();
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('Revoked', { exact: true }).waitFor();
  const devices = await cluster.get<{ revoked: boolean }[]>(page, '/devices');
  expect(devices.filter((device) => device.revoked)).toHaveLength(1);
});

test('a join code is created with the keyboard only', async () => {
  await open('/enroll');
  await page.getByRole('button', { name: 'Create join code' }).first().focus();
  await page.keyboard.press('Enter');
  await page.getByLabel('Name', { exact: true }).focus();
  await page.keyboard.type('by keyboard');
  await page.keyboard.press('Enter');
  await page.getByRole('img', { name: 'Join code as a QR code' }).waitFor();
  const downloading = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Download configuration profile' }).press('Enter');
  const profile = await readFile(await (await downloading).path(), 'utf8');
  expect(profile).toMatch(/EnrollmentCode<\/key>\s*<string>[A-Z0-9-]{19}<\/string>/);
  await open('/jobs');
  await page.getByRole('searchbox').waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('nothing has this name');
  await page.getByText('No jobs match').waitFor();
});
