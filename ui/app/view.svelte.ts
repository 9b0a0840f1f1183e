// Current view of the app. The app sends a complete new value whenever something changes.
import { toasts } from '../src/components/toasts.svelte';
import { app, errorMessage } from './app';
import type { View } from './types';

class AppView {
  view = $state.raw<View | null>(null);
  problem = $state<string | null>(null);

  /** Subscribes before it requests the current view, so that no change is missed. */
  async follow(): Promise<void> {
    try {
      let hasChanged = false;
      await app.follow((view) => {
        hasChanged = true;
        this.view = view;
      });
      const view = await app.view();
      if (!hasChanged) this.view = view;
      this.problem = null;
    } catch (error) {
      this.problem = errorMessage(error);
    }
  }
}

export const appView = new AppView();

/** Runs an action requested by a person. Shows its error in a toast; returns whether it succeeded. */
export async function runAction(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    toasts.error(errorMessage(error));
    return false;
  }
}
