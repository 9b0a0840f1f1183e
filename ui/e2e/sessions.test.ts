// What a page of another account on this computer gets of a session: nothing. And what a session is good
// for: reloads, downloads, signing out.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

import { blake3 } from '@noble/hashes/blake3.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster, ELSEWHERE } from './cluster';

const cluster = new Cluster();
const seen: IncomingHttpHeaders[] = [];
let other: Server;
let port: number;

beforeAll(async () => {
  // Another account's server, on another port of this computer.
  other = createServer((asked, answer) => {
    seen.push(asked.headers);
    answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>Other</title>');
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  port = (other.address() as AddressInfo).port;
  await cluster.start();
  await register('kept');
});
afterAll(async () => {
  await cluster.stop();
  other.closeAllConnections();
  await new Promise((resolve) => other.close(resolve));
});

/** A model from outside, so that there is one without training. */
async function register(name: string): Promise<void> {
  const spec = {
    input: { kind: 'text', buckets: 1024, ngrams: 1, max_words: 4 },
    layers: [
      { kind: 'embedding_bag', dimension: 2 },
      { kind: 'linear', outputs: 2 },
    ],
  };
  const bytes = new Uint8Array(4 * (1024 * 2 + 2 * 2 + 2));
  const blob = bytesToHex(blake3(bytes));
  const token = readFileSync(join(cluster.data, 'admin-token'), 'utf8').trim();
  const send = async (method: string, path: string, type: string, body: BodyInit) => {
    const headers = { Authorization: `Bearer ${token}`, 'Content-Type': type };
    const answer = await fetch(`${cluster.address}${path}`, { method, headers, body });
    expect(answer.status, await answer.text()).toBe(201);
  };
  await send('PUT', `blobs/${blob}`, 'application/octet-stream', bytes);
  const facts = { model_type: 'nlp', dataset: 'synthetic', classes: ['a', 'b'] };
  await send('POST', 'models', 'application/json', JSON.stringify({ name, blob, spec, ...facts }));
}

const over = (host: string) => `https://${host}:${new URL(cluster.address).port}/`;
const stored = (page: Page) => page.evaluate(() => ({ ...sessionStorage }));

/** Shows the coordinator what the other server was shown, as its own page would: makes a token. */
function replayed(headers: IncomingHttpHeaders): Promise<number | undefined> {
  const { cookie, authorization } = headers;
  const shown = { ...(cookie ? { cookie } : {}), ...(authorization ? { authorization } : {}) };
  return new Promise((resolve, reject) => {
    const ours = { 'Constellation-Protocol': '1', 'Sec-Fetch-Site': 'same-origin' };
    const json = { 'Content-Type': 'application/json' };
    const options = { method: 'POST', headers: { ...shown, ...ours, ...json } };
    const asked = request(`${cluster.address}tokens`, options, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode));
    });
    asked.on('error', reject).end(JSON.stringify({ role: 'admin', name: 'stolen' }));
  });
}

/** What a page of the other server gets, visited in the same browser. */
async function visited(page: Page, host: string): Promise<void> {
  const theirs = await page.context().newPage();
  seen.length = 0;
  await theirs.goto(`http://${host}:${port}/`);
  expect(seen.length).toBeGreaterThan(0);
  for (const headers of seen) {
    expect(headers.cookie).toBeUndefined();
    expect(headers.authorization).toBeUndefined();
    expect(await replayed(headers)).toBe(401);
  }
  expect(await theirs.evaluate(() => document.cookie)).toBe('');
  expect(await stored(theirs)).toEqual({});
  const got = await theirs.evaluate(
    (address) =>
      fetch(`${address}sessions/current`, { credentials: 'include' }).then(
        (answer) => answer.text(),
        () => 'nothing',
      ),
    cluster.address,
  );
  expect(got).toBe('nothing');
  await theirs.close();
}

test.each(['127.0.0.1', 'localhost'])(
  'a page of another port of %s gets nothing of a session',
  async (host) => {
    const page = await cluster.signedIn();
    await visited(page, host);
    const here = await cluster.signedIn(cluster.address.replace('127.0.0.1', 'localhost'));
    await visited(here, host);
    expect(await page.context().cookies()).toEqual([]);
    expect(await here.context().cookies()).toEqual([]);
  },
);

// Chromium sends even a Secure cookie of 127.0.0.1 to plain HTTP on another port.
test('nor does it where the session began over TLS on this computer', async () => {
  const page = await cluster.signedIn(over('127.0.0.1'));
  await visited(page, '127.0.0.1');
  expect(await page.context().cookies()).toEqual([]);
});

test('over TLS to another computer the session is a __Host- cookie and nothing else', async () => {
  const page = await cluster.signedIn(over(ELSEWHERE));
  const cookies = await page.context().cookies();
  expect(cookies.map(({ name, secure, httpOnly }) => [name, secure, httpOnly])).toEqual([
    [expect.stringMatching(/^__Host-constellation-/), true, true],
  ]);
  expect(await stored(page)).toEqual({});
  await visited(page, ELSEWHERE);
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.goto(`${over(ELSEWHERE)}#/models/kept`);
  const [name, bytes] = await saved(page, 'Model card');
  expect(name).toBe('kept-1.json');
  expect(JSON.parse(bytes.toString('utf8'))).toMatchObject({ model: { name: 'kept' } });
  // The secret of a cookie is no bearer.
  const asked = await page.request.get(`${cluster.address}jobs`, {
    headers: { Authorization: `Bearer ${cookies[0]?.value}` },
  });
  expect(asked.status()).toBe(401);
});

async function saved(page: Page, link: string): Promise<[string, Buffer]> {
  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: link }).click();
  const download = await downloading;
  return [download.suggestedFilename(), await readFile(await download.path())];
}

test('whatever can be downloaded can be from the tab', async () => {
  const page = await cluster.signedIn();
  await page.goto(`${cluster.address}#/models/kept`);
  const [model, weights] = await saved(page, 'Download safetensors');
  expect(model).toBe('kept-v1.safetensors');
  expect(weights.byteLength).toBeGreaterThan(4 * 2054);
  const [card, text] = await saved(page, 'Model card');
  expect(card).toBe('kept-1.json');
  expect(JSON.parse(text.toString('utf8'))).toMatchObject({ model: { name: 'kept' } });

  await page.goto(`${cluster.address}#/audit`);
  const [log, entries] = await saved(page, 'Export all entries');
  expect(log).toBe('constellation-audit.jsonl');
  expect(entries.toString('utf8').trimEnd().split('\n').length).toBeGreaterThan(5);

  await page.goto(`${cluster.address}#/settings`);
  const [backup, tar] = await saved(page, 'Download a backup now');
  expect(backup).toMatch(/\.tar$/);
  // POSIX tar says so at 257.
  expect(tar.subarray(257, 262).toString('latin1')).toBe('ustar');
  type Entry = { who: string; subject: { kind: string } };
  const audit = await cluster.get<Entry[]>(page, '/audit?limit=1000');
  const [who] = audit.filter(({ subject }) => subject.kind === 'backup').map((it) => it.who);
  expect(who).toBe('browser');

  await page.getByRole('link', { name: 'for Prometheus' }).click();
  await page.getByText('constellation_devices').first().waitFor();
  // The address counted once.
  const again = await page.request.get(page.url());
  expect(again.status()).toBe(401);
  await page.goBack();
  await page.getByRole('heading', { name: 'Settings', exact: true }).waitFor();
});

test('a tab stays signed in until somebody signs out, and another tab says how to get in', async () => {
  const page = await cluster.signedIn();
  await page.reload();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  const tab = await page.context().newPage();
  await tab.goto(cluster.address);
  await tab.getByText('you are signed in for one tab').waitFor();
  await tab.close();
  const before = await stored(page);
  expect(Object.keys(before)).toHaveLength(1);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You are not signed in.').waitFor();
  expect(await stored(page)).toEqual({});
  const asked = await page.request.get(`${cluster.address}jobs`, {
    headers: { Authorization: `Bearer ${Object.values(before)[0]}` },
  });
  expect(asked.status()).toBe(401);
});
