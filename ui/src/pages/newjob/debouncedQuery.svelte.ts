// Query that follows what is being typed: sent after a pause, and only the newest answer is kept.
import { ask, toApiError, type ApiError } from '../../api/client';

/** Time without a change before the query is sent, in milliseconds. */
const DEBOUNCE = 300;

export class DebouncedQuery<T> {
  answer = $state.raw<T | null>(null);
  failure = $state.raw<ApiError | null>(null);
  /** Whether a query is scheduled or running. */
  busy = $state(false);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private controller: AbortController | undefined;
  private lastQuery = '';

  /** Schedules a POST of `body`. Does nothing if the query is the same as the last one. */
  update(path: string, body: unknown): void {
    const query = `${path} ${JSON.stringify(body)}`;
    if (query === this.lastQuery) return;
    this.lastQuery = query;
    this.busy = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.send(path, JSON.parse(JSON.stringify(body))), DEBOUNCE);
  }

  /** Cancels the query and discards its answer. */
  clear(): void {
    clearTimeout(this.timer);
    this.controller?.abort();
    [this.answer, this.failure, this.busy, this.lastQuery] = [null, null, false, ''];
  }

  private async send(path: string, body: unknown): Promise<void> {
    this.controller?.abort();
    const controller = (this.controller = new AbortController());
    try {
      this.answer = await ask<T>(path, { method: 'POST', body, signal: controller.signal });
      this.failure = null;
    } catch (error) {
      if (controller.signal.aborted) return;
      [this.failure, this.answer] = [toApiError(error), null];
    }
    this.busy = false;
  }
}
