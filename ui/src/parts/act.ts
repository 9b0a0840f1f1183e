// A change that a person asked for: done, told, and what failed said in the API's words.
import { asFailure } from '../api/client';
import type { ChangeKind } from '../api/types';
import { touch } from '../live/live.svelte';
import { toasts } from './toasts.svelte';

export interface After {
  done: string;
  kinds?: ChangeKind[];
  undo?: () => void;
}

/** Whether it worked. */
export async function act(change: () => Promise<unknown>, after: After): Promise<boolean> {
  try {
    await change();
  } catch (error) {
    toasts.complain(asFailure(error).message);
    return false;
  }
  if (after.kinds) touch(...after.kinds);
  toasts.say(after.done, after.undo);
  return true;
}
