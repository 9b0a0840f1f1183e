// Follows the coordinator's revision by long polling and reports which kinds of data changed.
import { ask, toApiError } from '../api/client';
import type { ChangeKind, Events } from '../api/types';

const WAIT_SECONDS = 25;
const MAXIMUM_RETRY_DELAY = 15_000;

/** Ids that changed since the last call, by kind; `null` if anything may have changed. */
export type Changed = Map<ChangeKind, Set<string>> | null;

class Connection {
  /** Whether the last poll succeeded. Pages keep showing their data while it is `false`. */
  connected = $state(true);
  /** Time of the next attempt while not connected, in milliseconds since the epoch. */
  retryAt = $state(0);
}

export const connection = new Connection();

let following: AbortController | null = null;
let endRetryDelay: () => void = () => undefined;
let positioned: Promise<void> = Promise.resolve();

/** Follows until `stop`. `onChange` is called for every answer that contains changes. */
export function follow(onChange: (changed: Changed) => void): void {
  stop();
  following = new AbortController();
  const { signal } = following;
  positioned = new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    void poll(signal, onChange, resolve);
  });
}

export function stop(): void {
  following?.abort();
  following = null;
  connection.connected = true;
}

/**
 * Resolves once the first poll has ended. Data that is requested earlier could miss a change: one
 * that the coordinator makes after it answers the request and before it answers the first poll.
 */
export function untilPositioned(): Promise<void> {
  return positioned;
}

/** Retries at once instead of after the delay. */
export function retryNow(): void {
  endRetryDelay();
}

async function poll(
  signal: AbortSignal,
  onChange: (changed: Changed) => void,
  onPositioned: () => void,
): Promise<void> {
  let [revision, delay] = [-1, 500];
  while (!signal.aborted) {
    try {
      // The first answer is only used for its revision.
      const wait = revision < 0 || !connection.connected ? 0 : WAIT_SECONDS;
      const events = await ask<Events>(`/events?after=${Math.max(revision, 0)}&wait=${wait}`, {
        signal,
      });
      const isFirst = revision < 0;
      const wasLost = !connection.connected;
      // A coordinator that was restored from a backup starts at an earlier revision.
      const changed = events.reset || events.revision < revision ? null : byKind(events);
      revision = events.revision;
      connection.connected = true;
      delay = 500;
      onPositioned();
      if (wasLost) onChange(null);
      else if (!isFirst && (changed === null || changed.size > 0)) onChange(changed);
    } catch (error) {
      if (signal.aborted || toApiError(error).status === 401) return;
      connection.connected = false;
      connection.retryAt = Date.now() + delay;
      // The page shows why its requests fail; all data is reloaded after the reconnection.
      onPositioned();
      await retryDelay(delay, signal);
      delay = Math.min(delay * 2, MAXIMUM_RETRY_DELAY);
    }
  }
}

function byKind(events: Events): Map<ChangeKind, Set<string>> {
  const changed = new Map<ChangeKind, Set<string>>();
  for (const { kind, id } of events.changes) {
    const ids = changed.get(kind) ?? new Set();
    changed.set(kind, ids.add(id));
  }
  return changed;
}

function retryDelay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    endRetryDelay = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', endRetryDelay, { once: true });
  });
}
