// The page's one store: what was asked of the API, kept while something shows it, asked again when the
// coordinator says that it changed.
import { ask, asFailure, type Failure } from '../api/client';
import type { ChangeKind } from '../api/types';
import { type Changed, follow, stop } from './revision.svelte';

/** The least time between two requests for the same thing. */
const LEAST_GAP = 1000;
/** Changes that come in a burst become one request. */
const GATHER = 150;

/** What makes a thing stale: a kind, or one of a kind. */
export interface Source {
  kind: ChangeKind;
  id?: string;
}

export class Live<T> {
  data = $state.raw<T | undefined>();
  failure = $state.raw<Failure | undefined>();
  readonly path: string;
  readonly sources: Source[];
  shown = 0;
  private asking = false;
  private stale = true;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private lastAsked = 0;
  private gap = LEAST_GAP;

  constructor(path: string, sources: Source[]) {
    this.path = path;
    this.sources = sources;
  }

  /** Nothing to show yet. */
  get loading(): boolean {
    return this.data === undefined && this.failure === undefined;
  }

  /** Asks soon, however often it is called. */
  refresh(after = GATHER): void {
    this.stale = true;
    if (this.shown === 0 || this.asking || this.timer !== undefined) return;
    const gap = this.lastAsked + this.gap - performance.now();
    const wait = this.lastAsked === 0 ? 0 : Math.max(after, gap);
    this.timer = setTimeout(() => void this.load(), wait);
  }

  show(): void {
    this.shown += 1;
    if (this.stale) this.refresh(0);
  }

  hide(): void {
    this.shown -= 1;
  }

  private async load(): Promise<void> {
    this.timer = undefined;
    if (this.shown === 0) return;
    [this.asking, this.stale] = [true, false];
    this.lastAsked = performance.now();
    try {
      this.data = await ask<T>(this.path);
      this.failure = undefined;
    } catch (error) {
      this.failure = asFailure(error);
      // Asked again with the connection, or with the next change.
      if (this.failure.isUnreachable) this.stale = true;
    }
    this.asking = false;
    // A long answer (10,000 devices) is asked for less often, so that most of the time is the page's.
    this.gap = Math.max(LEAST_GAP, 6 * (performance.now() - this.lastAsked));
    if (this.stale && this.failure === undefined) this.refresh();
  }
}

/** Kinds whose addresses have the id that events name. */
const ONE = new Set<ChangeKind>(['job', 'device']);

/** Kept for a while after nothing shows them, so that going back shows the page at once. */
const MOST_KEPT = 40;
const kept = new Map<string, Live<unknown>>();

/**
 * What a path answers, for as long as the component that asks is there. The path is a function, so
 * that another path shows another thing; `null` asks nothing.
 */
export function live<T>(
  path: () => string | null,
  ...kinds: ChangeKind[]
): { value: Live<T> | null } {
  const found = $derived.by(() => {
    const wanted = path();
    return wanted === null ? null : (remember(wanted, sourcesOf(wanted, kinds)) as Live<T>);
  });
  $effect(() => {
    const one = found;
    one?.show();
    return () => one?.hide();
  });
  return {
    get value() {
      return found;
    },
  };
}

/** A path below one job or device is stale when that one changes, not when another does. */
export function sourcesOf(path: string, kinds: ChangeKind[]): Source[] {
  const [, collection, id] = path.split(/[/?]/);
  return kinds.map((kind) =>
    collection === `${kind}s` && ONE.has(kind) ? { kind, id } : { kind },
  );
}

function remember(path: string, sources: Source[]): Live<unknown> {
  const before = kept.get(path);
  if (before) return before;
  for (const [other, old] of kept) {
    if (kept.size < MOST_KEPT) break;
    if (old.shown === 0) kept.delete(other);
  }
  const made = new Live<unknown>(path, sources);
  kept.set(path, made);
  return made;
}

/** Follows the coordinator until `endLive`. */
export function beginLive(): void {
  follow(invalidate);
}

export function endLive(): void {
  stop();
  kept.clear();
}

/** Marks what changed as stale; what is shown is asked for again. */
export function invalidate(changed: Changed): void {
  for (const one of kept.values()) {
    const touched = one.sources.some(({ kind, id }) => {
      const ids = changed?.get(kind);
      return ids !== undefined && (id === undefined || ids.has(id));
    });
    if (changed === null || touched) one.refresh();
  }
}

/** Asks again for everything of a kind, after a change of our own. */
export function touch(...kinds: ChangeKind[]): void {
  for (const one of kept.values()) {
    if (one.sources.some((source) => kinds.includes(source.kind))) one.refresh();
  }
}

/** Asks again for what no event is about. */
export function touchPath(path: string): void {
  kept.get(path)?.refresh();
}
