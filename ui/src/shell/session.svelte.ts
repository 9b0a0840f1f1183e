// Who is signed in.
import { ask, asFailure, type Failure, onSignedOut } from '../api/client';
import { keepTabToken } from '../api/credential';
import type { Current, Health } from '../api/types';
import { beginLive, endLive } from '../live/live.svelte';

type State =
  | { phase: 'asking' }
  | { phase: 'unreachable'; failure: Failure }
  | { phase: 'out' }
  | { phase: 'in'; who: Current };

class Session {
  state = $state.raw<State>({ phase: 'asking' });
  health = $state.raw<Health | null>(null);

  get isAdmin(): boolean {
    return this.state.phase === 'in' && this.state.who.role === 'admin';
  }
}

export const session = new Session();

onSignedOut(signedOut);

/** Asks who we are. */
export async function begin(): Promise<void> {
  try {
    session.health = await ask<Health>('/health');
    signedIn(await ask<Current>('/sessions/current'));
  } catch (error) {
    const failure = asFailure(error);
    if (failure.status !== 401) session.state = { phase: 'unreachable', failure };
  }
}

/** Signs in by a link's code, which counts once. */
export async function signIn(code: string): Promise<void> {
  const who = await ask<Current>('/sessions', { method: 'POST', body: { code } });
  keepTabToken(who.token ?? null);
  signedIn(who);
}

export async function signOut(): Promise<void> {
  await ask('/sessions/current', { method: 'DELETE' });
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
