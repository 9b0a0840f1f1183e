// What the pages ask of the app they stand in. A refusal is a string that says what to change.
import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';

import type { SettingsView, View } from './types';

export type Until = 'hour' | 'tomorrow' | 'resumed';
export type Page = 'dashboard' | 'settings' | 'welcome' | 'popover';

export const app = {
  view: () => invoke<View>('view'),
  /** Each new view, whole. */
  follow: (see: (view: View) => void) => listen<View>('view', ({ payload }) => see(payload)),
  settings: () => invoke<SettingsView>('settings'),
  /** Null goes back to the default. */
  set: (key: string, value: string | null) => invoke<SettingsView>('set_setting', { key, value }),
  choose: (worker: boolean, coordinator: boolean) => invoke('choose', { worker, coordinator }),
  /** A typed code joins; a link opens the window that asks. */
  join: (code: string) => invoke('join', { code }),
  /** Joins the cluster of the invitation that the person saw. */
  accept: (invitation: string) => invoke('accept', { invitation }),
  decline: (invitation: string) => invoke('decline', { invitation }),
  /** What was removed, in words. */
  leave: () => invoke<string>('leave'),
  pause: (until: Until) => invoke('pause', { until }),
  resume: () => invoke('resume'),
  /** Trains for an hour though somebody uses the machine. */
  contribute: () => invoke('contribute'),
  open: (page: Page) => invoke('open', { page }),
  /** Hides this window. */
  close: () => invoke('close'),
  quit: () => invoke('quit'),
};

export function words(refusal: unknown): string {
  return refusal instanceof Error ? refusal.message : String(refusal);
}
