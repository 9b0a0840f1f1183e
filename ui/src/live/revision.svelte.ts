// Follows the coordinator's revision by a long poll and says which kinds of things changed.
import { ask, asFailure } from '../api/client';
import type { ChangeKind, Events } from '../api/types';

const WAIT_SECONDS = 25;
const LONGEST_PAUSE = 15_000;

/** What changed since the last call; `null` where it could be anything. */
export type Changed = Map<ChangeKind, Set<string>> | null;

class Connection {
  /** Whether the last poll was answered. Pages go on showing what they have. */
  connected = $state(true);
  /** When the next try is due, while not connected. */
  triesAt = $state(0);
}

export const connection = new Connection();

let following: AbortController | null = null;
let cutShort: () => void = () => undefined;

/** Follows until `stop`. `then` is called for every answer that has changes. */
export function follow(then: (changed: Changed) => void): void {
  stop();
  following = new AbortController();
  void poll(following.signal, then);
}

export function stop(): void {
  following?.abort();
  following = null;
  connection.connected = true;
}

/** Ends the pause between two tries. */
export function tryNow(): void {
  cutShort();
}

async function poll(signal: AbortSignal, then: (changed: Changed) => void): Promise<void> {
  let [revision, pause] = [-1, 500];
  while (!signal.aborted) {
    try {
      // The first answer tells where we are: what the page shows is read after it.
      const wait = revision < 0 || !connection.connected ? 0 : WAIT_SECONDS;
      const events = await ask<Events>(`/events?after=${Math.max(revision, 0)}&wait=${wait}`, {
        signal,
      });
      const isFirst = revision < 0;
      const wasLost = !connection.connected;
      // A coordinator that was restored from a backup counts from further back.
      const changed = events.reset || events.revision < revision ? null : byKind(events);
      revision = events.revision;
      connection.connected = true;
      pause = 500;
      if (wasLost) then(null);
      else if (!isFirst && (changed === null || changed.size > 0)) then(changed);
    } catch (error) {
      if (signal.aborted || asFailure(error).status === 401) return;
      connection.connected = false;
      connection.triesAt = Date.now() + pause;
      await pausing(pause, signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
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

function pausing(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    cutShort = () => {
      clearTimeout(timer);
      resolve();
    };
    signal.addEventListener('abort', cutShort, { once: true });
  });
}
