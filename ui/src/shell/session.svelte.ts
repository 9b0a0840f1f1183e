// The signed-in person.
import { ask, toApiError, type ApiError, onSignedOut } from '../api/client';
import { keepTabToken } from '../api/credential';
import type { Current, Health } from '../api/types';
import { beginLive, endLive } from '../live/live.svelte';
import { currentLocation } from './router.svelte';

type State =
  | { phase: 'loading' }
  | { phase: 'unreachable'; failure: ApiError }
  | { phase: 'out' }
  | { phase: 'in'; who: Current };

class Session {
  state = $state.raw<State>({ phase: 'loading' });
  health = $state.raw<Health | null>(null);

  get isAdmin(): boolean {
    return this.state.phase === 'in' && this.state.who.role === 'admin';
  }
}

export const session = new Session();

onSignedOut(signedOut);

/** Requests the current session. */
export async function begin(): Promise<void> {
  try {
    session.health = await ask<Health>('/health');
    signedIn(await ask<Current>('/sessions/current'));
  } catch (error) {
    const failure = toApiError(error);
    if (failure.status !== 401) session.state = { phase: 'unreachable', failure };
  }
}

/** Signs in with the code of a single-use link. */
export async function signIn(code: string): Promise<void> {
  const who = await ask<Current>('/sessions', { method: 'POST', body: { code } });
  keepTabToken(who.token ?? null);
  signedIn(who);
}

export async function signOut(): Promise<void> {
  await ask('/sessions/current', { method: 'DELETE' });
  // The next person starts at the first page.
  location.replace('#/');
  currentLocation.read();
  signedOut();
}

function signedIn(who: Current): void {
  session.state = { phase: 'in', who };
  beginLive();
}

function signedOut(): void {
  endLive();
  keepTabToken(null);
  session.state = { phase: 'out' };
}
