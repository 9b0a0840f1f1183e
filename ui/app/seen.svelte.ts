// The app's view as it is now: one value, replaced whole whenever the app tells a new one.
import { toasts } from '../src/parts/toasts.svelte';
import { app, words } from './app';
import type { View } from './types';

class Now {
  view = $state.raw<View | null>(null);
  problem = $state<string | null>(null);

  /** Listens before it asks, so that no change falls in between. */
  async follow(): Promise<void> {
    try {
      let told = false;
      await app.follow((view) => {
        told = true;
        this.view = view;
      });
      const view = await app.view();
      if (!told) this.view = view;
      this.problem = null;
    } catch (refusal) {
      this.problem = words(refusal);
    }
  }
}

export const now = new Now();

/** Does what a person asked for; a refusal is told in its words. Whether it worked. */
export async function ask(what: () => Promise<unknown>): Promise<boolean> {
  try {
    await what();
    return true;
  } catch (refusal) {
    toasts.complain(words(refusal));
    return false;
  }
}
