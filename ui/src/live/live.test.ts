import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { Events } from '../api/types';
import { beginLive, endLive, live } from './live.svelte';

/** A coordinator with one number, and every request that it received. */
class Coordinator {
  number = 1;
  revision = 1;
  requests: string[] = [];
  /** Time that an answer takes, in milliseconds; for events it is always 10. */
  latency = 10;
  failing: Response | Error | null = null;
  private waiting: (() => void)[] = [];

  change(number: number): void {
    this.number = number;
    this.revision += 1;
    for (const answer of this.waiting.splice(0)) answer();
  }

  fetch = async (path: string): Promise<Response> => {
    this.requests.push(path);
    const [, after, wait] = /^\/events\?after=(\d+)&wait=(\d+)$/.exec(path) ?? [];
    if (after !== undefined) return this.events(Number(after), Number(wait));
    const [number, failing] = [this.number, this.failing];
    await sleep(this.latency);
    if (failing instanceof Error) throw failing;
    return failing ?? Response.json(number);
  };

  private async events(after: number, wait: number): Promise<Response> {
    if (wait > 0 && this.revision === after) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
    await sleep(10);
    const { revision } = this;
    const changes = revision > after ? [{ kind: 'job' as const, id: 'j' }] : [];
    return Response.json({ revision, reset: false, changes } satisfies Events);
  }
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

let coordinator: Coordinator;

beforeEach(() => {
  vi.useFakeTimers();
  vi.advanceTimersByTime(10_000);
  coordinator = new Coordinator();
  vi.stubGlobal('fetch', coordinator.fetch);
});
afterEach(() => {
  endLive();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function metrics() {
  const { value } = live<number>(() => '/jobs/j/metrics', 'job');
  if (!value) throw new Error('nothing is requested');
  return value;
}

const requestsOfMetrics = () => coordinator.requests.filter((path) => path === '/jobs/j/metrics');

test('a change shows within a second, and a burst of changes is one request', async () => {
  beginLive();
  metrics().show();
  await vi.advanceTimersByTimeAsync(100);
  expect(metrics().data).toBe(1);
  for (const number of [2, 3, 4]) coordinator.change(number);
  await vi.advanceTimersByTimeAsync(1100);
  expect(metrics().data).toBe(4);
  expect(requestsOfMetrics()).toHaveLength(2);
});

test('data that became stale while hidden is requested as soon as it is shown again', async () => {
  beginLive();
  metrics().show();
  await vi.advanceTimersByTimeAsync(100);
  // The last change of a job arrives, and the person opens another page with the same data.
  coordinator.change(2);
  await vi.advanceTimersByTimeAsync(30);
  metrics().hide();
  metrics().show();
  await vi.advanceTimersByTimeAsync(30);
  expect(metrics().data).toBe(2);
  await vi.advanceTimersByTimeAsync(5000);
  expect(requestsOfMetrics()).toHaveLength(2);
});

test('a change before the first poll is answered is not missed', async () => {
  beginLive();
  metrics().show();
  await vi.advanceTimersByTimeAsync(5);
  coordinator.change(2);
  await vi.advanceTimersByTimeAsync(2000);
  expect(metrics().data).toBe(2);
});

test.each([
  ['while a request runs', () => null],
  ['while a request fails', () => Response.json({ detail: 'busy' }, { status: 503 })],
])('a change %s is loaded afterwards', async (_, failing) => {
  beginLive();
  coordinator.latency = 50;
  metrics().show();
  await vi.advanceTimersByTimeAsync(200);
  coordinator.change(2);
  await vi.advanceTimersByTimeAsync(800);
  coordinator.failing = failing();
  await vi.advanceTimersByTimeAsync(20);
  expect(requestsOfMetrics()).toHaveLength(2);
  coordinator.failing = null;
  coordinator.change(3);
  await vi.advanceTimersByTimeAsync(3000);
  expect([metrics().data, metrics().failure]).toEqual([3, undefined]);
});

test('a request that fails on a working connection is repeated', async () => {
  beginLive();
  coordinator.failing = new TypeError('connection reset');
  metrics().show();
  await vi.advanceTimersByTimeAsync(100);
  expect(metrics().failure?.isUnreachable).toBe(true);
  coordinator.failing = null;
  await vi.advanceTimersByTimeAsync(3000);
  expect([metrics().data, metrics().failure]).toEqual([1, undefined]);
});

test('data of a new component is kept while others are created', () => {
  beginLive();
  const create = (_: unknown, index: number) => live(() => `/jobs/${index}`, 'job').value;
  const first = Array.from({ length: 60 }, create);
  const again = Array.from({ length: 60 }, create);
  expect(again.filter((one, index) => one !== first[index])).toEqual([]);
});
