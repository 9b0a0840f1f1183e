// Runs a change requested by a person and shows the result in a toast.
import { toApiError } from '../api/client';
import type { ChangeKind } from '../api/types';
import { touch } from '../live/live.svelte';
import { toasts } from './toasts.svelte';

export interface MutationOptions {
  /** Text of the success toast. */
  done: string;
  /** Kinds of data to reload afterwards. */
  kinds?: ChangeKind[];
  undo?: () => void;
}

/** Returns whether the change succeeded. A failure is shown with the message of the API. */
export async function mutate(
  change: () => Promise<unknown>,
  { done, kinds, undo }: MutationOptions,
): Promise<boolean> {
  try {
    await change();
  } catch (error) {
    toasts.error(toApiError(error).message);
    return false;
  }
  if (kinds) touch(...kinds);
  toasts.success(done, undo);
  return true;
}
