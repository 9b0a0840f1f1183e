// Undo of changes.
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const cluster = new Cluster();
let page: Page;

beforeAll(async () => {
  page = await cluster.ready();
  for (const rounds of ['1', '2']) cluster.train(JOB.replace('ROUNDS', rounds));
}, 180_000);
afterAll(() => cluster.stop());

const JOB = `
name = "undone"
model_type = "nlp"
dataset = "synthetic"
[data]
partitions = 2
train_limit = 400
[run]
rounds = ROUNDS
`;

interface Device {
  id: string;
  name: string;
  labels: string[];
  quarantined: { reason: string; by: string } | null;
}

async function openDevice(): Promise<Device> {
  const [device] = await cluster.get<Device[]>(page, '/devices');
  if (!device) throw new Error('no device');
  await page.goto(`${cluster.address}#/devices/${device.id}`);
  await page.getByRole('heading', { name: device.name, exact: true }).waitFor();
  return device;
}

const reload = ({ id }: Device) => cluster.get<Device>(page, `/devices/${id}`);

/** Clicks Undo in the toast with this text. */
async function undo(text: string): Promise<void> {
  const toast = page.getByRole('status').locator('.toast').filter({ hasText: text });
  await toast.getByRole('button', { name: 'Undo' }).click();
  await toast.waitFor({ state: 'detached' });
}

test('a change of name and labels is undone', async () => {
  const before = await openDevice();
  await page.getByRole('button', { name: 'Name and labels' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('a mistake');
  await dialog.getByLabel('Labels', { exact: true }).fill('wrong');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: 'a mistake' }).waitFor();
  await undo('Saved a mistake');
  await page.getByRole('heading', { name: before.name, exact: true }).waitFor();
  const after = await reload(before);
  expect([after.name, after.labels]).toEqual([before.name, before.labels]);
});

test('a quarantine with a reason is undone, and ends with a release', async () => {
  const device = await openDevice();
  const quarantine = async () => {
    await page.getByRole('button', { name: 'Quarantine', exact: true }).click();
    const dialog = page.getByRole('dialog');
    // A reason is required.
    await dialog.getByRole('button', { name: 'Quarantine' }).click();
    expect((await reload(device)).quarantined).toBeNull();
    await dialog.getByLabel('Reason', { exact: true }).fill('its fan is broken');
    await dialog.getByRole('button', { name: 'Quarantine' }).click();
    await page.getByText('its fan is broken').waitFor();
    const state = (await reload(device)).quarantined;
    expect(state?.reason).toBe('its fan is broken');
    await page.getByText(`by ${state?.by}: its fan is broken`).waitFor();
  };
  await quarantine();
  await undo(`Quarantined ${device.name}`);
  await page.getByText('its fan is broken').waitFor({ state: 'detached' });
  expect((await reload(device)).quarantined).toBeNull();
  await quarantine();
  await page.getByRole('button', { name: 'Release' }).click();
  await page.getByRole('button', { name: 'Quarantine', exact: true }).waitFor();
  expect((await reload(device)).quarantined).toBeNull();
});

test('the page of a device lists its leases of all jobs', async () => {
  const device = await openDevice();
  const leases = await cluster.get<unknown[]>(page, `/devices/${device.id}/leases`);
  expect(leases.length).toBeGreaterThanOrEqual(6);
  await page.getByRole('heading', { name: 'Leases of the last 30 days' }).waitFor();
  const links = page.getByRole('cell').getByRole('link', { name: 'undone' });
  await links.first().waitFor();
  expect(await links.count()).toBe(leases.length);
});

test('undo returns a stage to the version that had it', async () => {
  const stages = async () => {
    const models = await cluster.get<{ version: number; stage: string | null }[]>(page, '/models');
    return models.sort((a, b) => a.version - b.version).map((model) => model.stage);
  };
  const set = async (version: number) => {
    await page.goto(`${cluster.address}#/models/undone?version=${version}`);
    await page.getByRole('button', { name: 'Set stage…' }).click();
    await page.getByLabel('Stage', { exact: true }).fill('production');
    await page.getByRole('button', { name: 'Set', exact: true }).click();
    await page.getByText(`Version ${version} is production`).waitFor();
  };
  await set(1);
  expect(await stages()).toEqual(['production', null]);
  await set(2);
  expect(await stages()).toEqual([null, 'production']);
  await undo('Version 2 is production');
  await page.getByText('Restored the stage').waitFor();
  expect(await stages()).toEqual(['production', null]);
});
