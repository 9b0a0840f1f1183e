// Which settings the page knows, where they stand and what they are edited with. What this version of the app has of
// them is the app's word: keys that it doesn't name aren't drawn, and keys that aren't here are listed as text.
import type { Setting } from '../types';

export type Control =
  | { kind: 'switch' }
  /** `scale`: what one of the shown unit is in the file's. `empty`: what no value means. */
  | { kind: 'number'; unit: string; scale: number; min: number; max?: number; empty?: string }
  | { kind: 'choice'; choices: [value: string, words: string][] }
  | { kind: 'schedule' }
  | { kind: 'text'; empty?: string };

export interface Known {
  key: string;
  label: string;
  /** Of those who know the machine as a `Mac` or a `computer`. */
  hint?: (machine: string) => string;
  control: Control;
}

const SWITCH: Control = { kind: 'switch' };
const TEMPERATURES: [string, string][] = [
  ['nominal', 'Cool'],
  ['fair', 'Slightly warm'],
  ['serious', 'Hot, with the fans on'],
  ['critical', 'Very hot'],
];

export const SECTIONS: { title: string; settings: Known[] }[] = [
  {
    title: 'When to train',
    settings: [
      {
        key: 'IdleSeconds',
        label: 'Wait until nobody has used it for',
        control: { kind: 'number', unit: 'minutes', scale: 60, min: 0 },
      },
      {
        key: 'AllowBattery',
        label: 'Train on battery',
        hint: (machine) => `Otherwise only while the ${machine} has mains power.`,
        control: SWITCH,
      },
      {
        key: 'MinimumBattery',
        label: 'Stop on battery below',
        control: { kind: 'number', unit: '%', scale: 1, min: 0, max: 100 },
      },
      {
        key: 'Schedule',
        label: 'Times',
        control: { kind: 'schedule' },
      },
    ],
  },
  {
    title: 'Pause during',
    settings: [
      {
        key: 'PauseDuringCalls',
        label: 'Calls',
        hint: () => 'While the camera or the microphone is in use.',
        control: SWITCH,
      },
      {
        key: 'PauseDuringVideo',
        label: 'Videos and presentations',
        hint: () => 'While something keeps the display awake.',
        control: SWITCH,
      },
      { key: 'PauseInFullScreen', label: 'Full-screen apps', control: SWITCH },
    ],
  },
  {
    title: 'Limits',
    settings: [
      {
        key: 'MaximumThermalState',
        label: 'Train while it is at most',
        control: { kind: 'choice', choices: TEMPERATURES },
      },
      {
        key: 'MaximumMemoryGB',
        label: 'Memory',
        hint: () => 'Work that needs more is left to others.',
        control: { kind: 'number', unit: 'GB', scale: 1, min: 0, empty: 'Automatic' },
      },
      {
        key: 'MaximumCacheGB',
        label: 'Disk',
        hint: () => 'For data sets and models that it keeps.',
        control: { kind: 'number', unit: 'GB', scale: 1, min: 0, empty: 'Automatic' },
      },
      {
        key: 'MaximumUploadMbps',
        label: 'Upload',
        control: { kind: 'number', unit: 'Mbit/s', scale: 1, min: 0, empty: 'No limit' },
      },
      {
        key: 'Backend',
        label: 'Compute on',
        control: {
          kind: 'choice',
          choices: [
            ['auto', 'Automatic'],
            ['wgpu', 'GPU'],
            ['cpu', 'CPU'],
          ],
        },
      },
    ],
  },
  {
    title: 'App',
    settings: [
      { key: 'StartAtLogin', label: 'Start at login', control: SWITCH },
      { key: 'UpdateChecks', label: 'Look for updates', control: SWITCH },
      {
        key: 'PresenceDetail',
        label: 'Tell the company why it waits',
        hint: () => 'In coarse words, such as “in use” or “on battery”.',
        control: SWITCH,
      },
      {
        key: 'KeepAwake',
        label: 'Stay awake while coordinating',
        hint: () => 'While a job runs and on mains power only.',
        control: SWITCH,
      },
      {
        key: 'Mode',
        label: 'Used for',
        control: {
          kind: 'choice',
          choices: [
            ['worker', 'Contributing'],
            ['coordinator', 'Coordinating a cluster'],
            ['both', 'Both'],
          ],
        },
      },
      {
        key: 'CoordinatorURL',
        label: 'Coordinator’s address',
        hint: () => 'Where the local network isn’t searched for it.',
        control: { kind: 'text', empty: 'Found by itself' },
      },
    ],
  },
];

const KNOWN = new Set(SECTIONS.flatMap(({ settings }) => settings.map(({ key }) => key)));

export function others(settings: Setting[]): Setting[] {
  return settings.filter(({ key }) => !KNOWN.has(key));
}

/** A value as files and `set_setting` have it; null where there is none. */
export function text(value: unknown): string | null {
  if (value == null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** What a control shows of a value. */
export function shown(control: Control, value: unknown): string {
  const plain = text(value);
  if (control.kind !== 'number' || plain === null || plain === '') return plain ?? '';
  const number = Number(plain) / control.scale;
  return Number.isFinite(number) ? String(Math.round(number * 100) / 100) : plain;
}

/** What was typed, as the file has it; null, which is the default, where it was emptied. */
export function written(control: Control, typed: string): string | null {
  const plain = typed.trim();
  if (plain === '') return null;
  if (control.kind !== 'number') return plain;
  const number = Number(plain) * control.scale;
  // Minutes are whole seconds.
  return String(control.scale === 1 ? number : Math.round(number));
}

/** The choices, with the value in force even where this version doesn't know it. */
export function choicesOf(
  choices: [string, string][],
  value: unknown,
): [value: string, words: string][] {
  const plain = text(value);
  if (plain === null || choices.some(([choice]) => choice === plain)) return choices;
  return [...choices, [plain, plain]];
}
