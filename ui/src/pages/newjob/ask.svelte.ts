// Asks the coordinator about a draft while it is written: once it rests, and only the newest counts.
import { ask, asFailure, type Failure } from '../../api/client';

const REST = 300;

export class Asked<T> {
  answer = $state.raw<T | null>(null);
  failure = $state.raw<Failure | null>(null);
  busy = $state(false);
  private timer: ReturnType<typeof setTimeout> | undefined;
  private controller: AbortController | undefined;
  private lastBody = '';

  about(path: string, body: unknown): void {
    const text = `${path} ${JSON.stringify(body)}`;
    if (text === this.lastBody) return;
    this.lastBody = text;
    this.busy = true;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.send(path, JSON.parse(JSON.stringify(body))), REST);
  }

  forget(): void {
    clearTimeout(this.timer);
    this.controller?.abort();
    [this.answer, this.failure, this.busy, this.lastBody] = [null, null, false, ''];
  }

  private async send(path: string, body: unknown): Promise<void> {
    this.controller?.abort();
    const controller = (this.controller = new AbortController());
    try {
      this.answer = await ask<T>(path, { method: 'POST', body, signal: controller.signal });
      this.failure = null;
    } catch (error) {
      if (controller.signal.aborted) return;
      [this.failure, this.answer] = [asFailure(error), null];
    }
    this.busy = false;
  }
}
