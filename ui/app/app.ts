// Commands of the app that its pages can call. An error is a string that says what to change.
import { invoke } from '@tauri-apps/api/core';
import { listen } from '@tauri-apps/api/event';

import type { SettingsView, View } from './types';

export type Until = 'hour' | 'tomorrow' | 'resumed';
export type Page = 'dashboard' | 'settings' | 'welcome' | 'popover';

export const app = {
  view: () => invoke<View>('view'),
  /** Calls `onChange` with each new view, which is complete. */
  follow: (onChange: (view: View) => void) =>
    listen<View>('view', ({ payload }) => onChange(payload)),
  settings: () => invoke<SettingsView>('settings'),
  /** Null restores the default. */
  set: (key: string, value: string | null) => invoke<SettingsView>('set_setting', { key, value }),
  choose: (worker: boolean, coordinator: boolean) => invoke('choose', { worker, coordinator }),
  /** A typed code joins; a link opens the window that asks. */
  join: (code: string) => invoke('join', { code }),
  /** Joins the cluster of the invitation that the person saw. */
  accept: (invitation: string) => invoke('accept', { invitation }),
  decline: (invitation: string) => invoke('decline', { invitation }),
  /** Returns a text that lists what was removed. */
  leave: () => invoke<string>('leave'),
  pause: (until: Until) => invoke('pause', { until }),
  resume: () => invoke('resume'),
  /** Trains for 1 hour even while the machine is in use. */
  contribute: () => invoke('contribute'),
  open: (page: Page) => invoke('open', { page }),
  /** Hides this window. */
  close: () => invoke('close'),
  quit: () => invoke('quit'),
};

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
