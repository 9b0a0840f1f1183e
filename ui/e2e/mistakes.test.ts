// What a person does by accident, or comes back from: a typing mistake, a slipped selection, a deep link, a revoked device.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  page = await cluster.ready();
});
afterAll(() => cluster.stop());

const open = (route: string) => page.goto(`${cluster.address}#${route}`);
const tab = (name: string) => page.getByRole('tab', { name }).click();
const create = () => page.getByRole('button', { name: 'Create without starting' });

test('a job file that cannot be read creates no job, and its text survives a change of tab', async () => {
  await open('/jobs/new?dataset=synthetic');
  await page.getByLabel('Name', { exact: true }).fill('of-the-form');
  await page.getByText('The job is valid').waitFor();
  await tab('TOML');
  const file = page.getByLabel('Job file');
  const text = '# kept\nname = "of-the-file"\nmodel_type = "nlp"\ndataset = "synthetic"\n';
  await file.fill(`${text}rounds = `);
  await page.getByRole('alert').filter({ hasText: "can't be read" }).waitFor();
  expect(await create().isEnabled()).toBe(false);
  await tab('Form');
  // The form still shows the earlier draft, so nothing can be created from it either.
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('of-the-form');
  expect(await create().isEnabled()).toBe(false);
  await page.getByLabel('Name', { exact: true }).press('Enter');
  await tab('TOML');
  expect(await file.inputValue()).toBe(`${text}rounds = `);
  await file.fill(text);
  await page.getByText('The job is valid').waitFor();
  await tab('Form');
  expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('of-the-file');
  await tab('TOML');
  expect(await file.inputValue()).toBe(text);
  expect(await cluster.get<unknown[]>(page, '/jobs')).toEqual([]);
  await create().click();
  await page.getByRole('heading', { name: 'of-the-file', exact: true }).waitFor();
  const jobs = await cluster.get<{ name: string }[]>(page, '/jobs');
  expect(jobs.map((job) => job.name)).toEqual(['of-the-file']);
});

test('text that cannot be read is discarded from the form', async () => {
  await open('/jobs');
  await open('/jobs/new?dataset=synthetic');
  await page.getByLabel('Name', { exact: true }).fill('by-the-form');
  await tab('TOML');
  await page.getByLabel('Job file').fill('name = ');
  await tab('Form');
  await page.getByRole('button', { name: 'Discard the text' }).click();
  await page.getByText('The job is valid').waitFor();
  expect(await create().isEnabled()).toBe(true);
});

test('a dialog stays open when a selection begins or ends outside it', async () => {
  await open('/enroll');
  await page.getByRole('button', { name: 'Create join code' }).first().click();
  const dialog = page.getByRole('dialog');
  const name = dialog.getByLabel('Name', { exact: true });
  await name.fill('a name to select');
  const box = await name.boundingBox();
  if (!box) throw new Error('the field is not shown');
  const [x, y] = [box.x + 20, box.y + box.height / 2];
  for (const [from, to] of [
    [
      [x, y],
      [5, 5],
    ],
    [
      [5, 5],
      [x, y],
    ],
  ] as const) {
    await page.mouse.move(from[0], from[1]);
    await page.mouse.down();
    await page.mouse.move(to[0], to[1], { steps: 5 });
    await page.mouse.up();
    expect(await name.inputValue()).toBe('a name to select');
    expect(await dialog.isVisible()).toBe(true);
  }
  await page.mouse.click(5, 5);
  await dialog.waitFor({ state: 'hidden' });
});

test('a join code of a coordinator that only listens on its machine says how to change that', async () => {
  await open('/enroll');
  await page.getByRole('button', { name: 'Create join code' }).first().click();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).press('Enter');
  const port = new URL(cluster.url).port;
  const created = page.getByRole('region', { name: 'The new join code' });
  await created.getByText(`constellation coordinator --listen 0.0.0.0:${port}`).waitFor();
});

test('a deep link survives the sign-in, also when the sign-in link names the page', async () => {
  const stranger = await cluster.stranger();
  await stranger.goto(`${cluster.address}#/devices?state=offline`);
  await stranger.getByText('You are not signed in').waitFor();
  const code = () => /#\/sign-in\/(\w+)/.exec(cluster.run(['coordinator', 'sign-in']))?.[1];
  // A used link in between does not lose it.
  await stranger.goto(`${cluster.address}#/sign-in/00000000000000000000000000000000`);
  await stranger.getByRole('alert').waitFor();
  await stranger.goto(`${cluster.address}#/sign-in/${code()}`);
  await stranger.getByRole('heading', { name: 'Devices', exact: true }).waitFor();
  expect(new URL(stranger.url()).hash).toBe('#/devices?state=offline');
  await stranger.getByRole('button', { name: 'Sign out' }).click();
  await stranger.getByText('You are not signed in').waitFor();

  await stranger.goto(`${cluster.address}#/sign-in/${code()}?to=/data`);
  await stranger.getByRole('heading', { name: 'Data', exact: true }).waitFor();
  expect(new URL(stranger.url()).hash).toBe('#/data');
  await stranger.getByRole('button', { name: 'Sign out' }).click();
  await stranger.getByText('You are not signed in').waitFor();
  // After signing out, the next person starts at the first page.
  await cluster.signIn(stranger);
  await stranger.close();
});

test('a revoked device is let in again from its page', async () => {
  await open('/devices');
  await page.getByRole('cell').getByRole('link').first().click();
  await page.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await page.getByText('Revoked', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Reinstate' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Reinstate' }).click();
  await page.getByRole('button', { name: 'Revoke' }).waitFor();
  const devices = await cluster.get<{ revoked: boolean }[]>(page, '/devices');
  expect(devices.map((device) => device.revoked)).toEqual([false]);
  const audit = await cluster.get<{ action: string }[]>(page, '/audit?limit=1000');
  expect(audit.map((entry) => entry.action)).toContain('reinstated');
});
