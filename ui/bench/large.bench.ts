// The dashboard before 10,000 devices and a job of 1,000 rounds: when a page shows what it is for,
// what scrolling the table costs, and what memory is taken.
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';

import { BROWSER_ARGUMENTS, BROWSER } from '../e2e/browser';
import { Fleet, memory } from './fleet';

const DEVICES = Number(process.env.DEVICES ?? 10_000);
const ROUNDS = Number(process.env.ROUNDS ?? 1_000);
const VISITS = 5;
/** Turns of the wheel, one a frame. */
const TURNS = 300;

const program = named('CONSTELLATION_BIN');
const fleet = new Fleet(program, named('CONSTELLATION_LOAD'));
let browser: Browser;
let job: string;

beforeAll(async () => {
  job = await fleet.train(ROUNDS);
  await fleet.gather(DEVICES);
  browser = await chromium.launch({ executablePath: BROWSER, args: BROWSER_ARGUMENTS });
}, 3_600_000);
afterAll(async () => {
  await browser?.close();
  await fleet.stop();
}, 120_000);

test('the dashboard of a large fleet', async () => {
  const link = fleet.signIn();
  const address = link.slice(0, link.indexOf('#'));
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const first = await context.newPage();
  await first.goto(link);
  await first.getByRole('heading', { name: 'Overview' }).waitFor();
  // A tab keeps its session for itself; others are given it.
  const session = await first.evaluate(() => ({ ...sessionStorage }));
  const give = (to: BrowserContext) =>
    to.addInitScript((kept) => void Object.assign(sessionStorage, kept), session);
  await give(context);

  // Each visit is a browser that was never here: nothing is in its cache.
  const view = async (route: string, shown: (page: Page) => Promise<void>) => {
    const times = [];
    for (let visit = 0; visit < VISITS; visit += 1) {
      const fresh = await browser.newContext({ ignoreHTTPSErrors: true });
      await give(fresh);
      const page = await fresh.newPage();
      await page.goto(`${address}#${route}`, { waitUntil: 'commit' });
      await shown(page);
      times.push(await page.evaluate(() => performance.now()));
      await fresh.close();
    }
    return times.sort((a, b) => a - b)[Math.floor(VISITS / 2)] ?? NaN;
  };
  const overview = await view('/', (page) => page.locator('main dd, main .stat').first().waitFor());
  const devices = await view('/devices', (page) => page.getByRole('cell').nth(20).waitFor());
  const rounds = await view(`/jobs/${job}`, (page) => page.locator('canvas').first().waitFor());

  const page = await context.newPage();
  await page.goto(`${address}#/devices`);
  await page.getByRole('cell').nth(20).waitFor();
  await page.evaluate(() => {
    const tasks: number[] = [];
    Object.assign(window, { tasks });
    const watch = (list: PerformanceObserverEntryList) =>
      tasks.push(...list.getEntries().map((entry) => entry.duration));
    new PerformanceObserver(watch).observe({ type: 'longtask' });
  });
  await page.getByRole('cell').nth(8).hover();
  const begun = await page.evaluate(() => performance.now());
  for (let turn = 0; turn < TURNS; turn += 1) {
    await page.mouse.wheel(0, 600);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
  const scrolled = (await page.evaluate(() => performance.now())) - begun;
  const tasks = await page.evaluate(() => (window as unknown as { tasks: number[] }).tasks);

  const inspector = await context.newCDPSession(page);
  await inspector.send('HeapProfiler.enable');
  await inspector.send('HeapProfiler.collectGarbage');
  await inspector.send('Performance.enable');
  const { metrics } = await inspector.send('Performance.getMetrics');
  const heap = metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? NaN;
  const whole = await browser.newBrowserCDPSession();
  await first.close();
  const renderers = async () => {
    const { processInfo } = await whole.send('SystemInfo.getProcessInfo');
    return processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id);
  };
  const ours = await renderers();
  const largest = Math.max(...ours.map(memory));
  const nothing = await (await browser.newContext()).newPage();
  await nothing.goto('data:text/html,<p>nothing</p>');
  const others = (await renderers()).filter((id) => !ours.includes(id));
  const empty = Math.max(...others.map(memory));

  const lines: [string, string][] = [
    [`overview, first view (median of ${VISITS})`, `${overview.toFixed(0)} ms`],
    [`${DEVICES} devices, first view`, `${devices.toFixed(0)} ms`],
    [`job of ${ROUNDS} rounds, first view`, `${rounds.toFixed(0)} ms`],
    [`${TURNS} turns of the wheel over the devices`, `${scrolled.toFixed(0)} ms`],
    ['tasks over 50 ms meanwhile', `${tasks.length} (longest ${Math.max(0, ...tasks)} ms)`],
    ['JavaScript heap of the devices page', `${(heap / 1e6).toFixed(1)} MB`],
    ['memory of its renderer process', `${largest.toFixed(0)} MB`],
    ['memory of one with an empty page', `${empty.toFixed(0)} MB`],
  ];
  const table = lines.map(([what, value]) => `${what.padEnd(48)}${value}\n`).join('');
  const figures = JSON.stringify({
    overview,
    devices,
    rounds,
    scrolled,
    tasks,
    heap,
    largest,
    empty,
  });
  process.stdout.write(`${table}${figures}\n`);
});

function named(variable: string): string {
  const value = process.env[variable];
  if (!value) throw new Error(`${variable} is not set; make bench-ui sets it`);
  return value;
}
