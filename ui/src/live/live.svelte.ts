// Store of API responses: each is kept while a component shows it, and loaded again when the
// coordinator reports a change.
import { ask, toApiError, type ApiError } from '../api/client';
import type { ChangeKind } from '../api/types';
import { type Changed, connection, follow, stop, untilPositioned } from './revision.svelte';

/** Minimum time between two requests for shown data, in milliseconds. */
const MINIMUM_INTERVAL = 1000;
/** Changes within this time are combined into one request, in milliseconds. */
const COALESCE = 150;
/** Delay before a request that failed on a working connection is repeated, in milliseconds. */
const RETRY_DELAY = 2000;

/** A kind of data, or one item of a kind, whose changes make a response stale. */
export interface Source {
  kind: ChangeKind;
  id?: string;
}

export class Live<T> {
  data = $state.raw<T | undefined>();
  failure = $state.raw<ApiError | undefined>();
  readonly path: string;
  readonly sources: Source[];
  /** Number of components that show the data. */
  shown = 0;
  private requesting = false;
  private stale = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastRequest: number | undefined;
  private interval = MINIMUM_INTERVAL;

  constructor(path: string, sources: Source[]) {
    this.path = path;
    this.sources = sources;
  }

  /** Whether there is neither data nor a failure yet. */
  get loading(): boolean {
    return this.data === undefined && this.failure === undefined;
  }

  /** Whether it was shown before and is not shown now. */
  get isUnused(): boolean {
    return this.shown === 0 && this.lastRequest !== undefined;
  }

  /** Marks the data as stale and schedules a request. Further calls join the scheduled request. */
  refresh(delay = COALESCE): void {
    this.stale = true;
    if (this.shown === 0 || this.requesting || this.timer !== undefined) return;
    const due = (this.lastRequest ?? 0) + this.interval - performance.now();
    this.timer = setTimeout(() => void this.load(), Math.max(delay, due));
  }

  /** Called when a component starts to show the data. Stale data is requested at once. */
  show(): void {
    this.shown += 1;
    if (this.stale && !this.requesting) void this.load();
  }

  hide(): void {
    this.shown -= 1;
  }

  private async load(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.shown === 0) return;
    this.requesting = true;
    await untilPositioned();
    this.stale = false;
    this.lastRequest = performance.now();
    try {
      this.data = await ask<T>(this.path);
      this.failure = undefined;
    } catch (error) {
      this.failure = toApiError(error);
    }
    this.requesting = false;
    // Slow responses (10,000 devices) are requested less often, to leave time for the page itself.
    this.interval = Math.max(MINIMUM_INTERVAL, 6 * (performance.now() - this.lastRequest));
    if (this.failure?.isUnreachable) {
      this.stale = true;
      // Without a connection everything is loaded again after the reconnection.
      if (connection.connected) this.refresh(RETRY_DELAY);
    } else if (this.stale) {
      this.refresh();
    }
  }
}

/** Kinds whose items have paths of their own, with the id that events report. */
const KINDS_WITH_ITEMS = new Set<ChangeKind>(['job', 'device']);

/** Responses kept after nothing shows them, so that going back displays the page at once. */
const MAXIMUM_KEPT = 40;
const kept = new Map<string, Live<unknown>>();

/**
 * The response of a path, while the calling component exists. The path is a function, so that it
 * can change; `null` requests nothing. Changes of `kinds` make the response stale.
 */
export function live<T>(
  path: () => string | null,
  ...kinds: ChangeKind[]
): { value: Live<T> | null } {
  const current = $derived.by(() => {
    const wanted = path();
    return wanted === null ? null : (remember(wanted, sourcesOf(wanted, kinds)) as Live<T>);
  });
  $effect(() => {
    const one = current;
    one?.show();
    return () => one?.hide();
  });
  return {
    get value() {
      return current;
    },
  };
}

/** A path below one job or device becomes stale only when that item changes. */
export function sourcesOf(path: string, kinds: ChangeKind[]): Source[] {
  const [, collection, id] = (path.split('?')[0] ?? '').split('/');
  return kinds.map((kind) =>
    collection === `${kind}s` && KINDS_WITH_ITEMS.has(kind) ? { kind, id } : { kind },
  );
}

function remember(path: string, sources: Source[]): Live<unknown> {
  const existing = kept.get(path);
  if (existing) return existing;
  for (const [other, one] of kept) {
    if (kept.size < MAXIMUM_KEPT) break;
    if (one.isUnused) kept.delete(other);
  }
  const created = new Live<unknown>(path, sources);
  kept.set(path, created);
  return created;
}

/** Follows the coordinator's changes until `endLive`. */
export function beginLive(): void {
  follow(invalidate);
}

export function endLive(): void {
  stop();
  kept.clear();
}

/** Marks responses that a change concerns as stale. Those that are shown are requested again. */
export function invalidate(changed: Changed): void {
  for (const one of kept.values()) {
    const isConcerned = one.sources.some(({ kind, id }) => {
      const ids = changed?.get(kind);
      return ids !== undefined && (id === undefined || ids.has(id));
    });
    if (changed === null || isConcerned) one.refresh();
  }
}

/** Reloads everything of these kinds, after a change made by this page. */
export function touch(...kinds: ChangeKind[]): void {
  for (const one of kept.values()) {
    if (one.sources.some((source) => kinds.includes(source.kind))) one.refresh();
  }
}

/** Reloads one path. For data that no event reports. */
export function touchPath(path: string): void {
  kept.get(path)?.refresh();
}
