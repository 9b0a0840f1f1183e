// Catalog of settings: sections, labels and controls. The app decides which settings exist: a setting that the app does
// not report is hidden, and a reported setting that is not in this catalog is listed as text.
//
// The app reports key, value, origin and description. It reports neither ranges nor choices, so limits and choices are
// repeated here; the app still checks every change.
import type { Setting } from '../types';

export type Control =
  | { kind: 'switch' }
  /** `scale`: file units per shown unit. `empty`: what an empty value means. */
  | { kind: 'number'; unit: string; scale: number; min: number; max?: number; empty?: string }
  | { kind: 'choice'; choices: [value: string, label: string][] }
  | { kind: 'schedule' }
  | { kind: 'text'; empty?: string };

export interface CatalogEntry {
  key: string;
  label: string;
  /** `machine` is `Mac` or `computer`. */
  hint?: (machine: string) => string;
  control: Control;
}

const SWITCH: Control = { kind: 'switch' };
const TEMPERATURES: [string, string][] = [
  ['nominal', 'Normal'],
  ['fair', 'Slightly warm'],
  ['serious', 'Hot'],
  ['critical', 'Very hot'],
];

export const SECTIONS: { title: string; settings: CatalogEntry[] }[] = [
  {
    title: 'When to train',
    settings: [
      {
        key: 'IdleSeconds',
        label: 'Start after no input for',
        control: { kind: 'number', unit: 'minutes', scale: 60, min: 0 },
      },
      {
        key: 'AllowBattery',
        label: 'Train on battery',
        hint: (machine) => `When off, this ${machine} trains only while it is plugged in.`,
        control: SWITCH,
      },
      {
        key: 'MinimumBattery',
        label: 'Stop when the battery is below',
        control: { kind: 'number', unit: '%', scale: 1, min: 0, max: 100 },
      },
      {
        key: 'Schedule',
        label: 'Schedule',
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
        hint: () => 'While a camera or microphone is in use.',
        control: SWITCH,
      },
      {
        key: 'PauseDuringVideo',
        label: 'Videos and presentations',
        hint: () => 'While an app keeps the display awake.',
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
        label: 'Highest temperature for training',
        control: { kind: 'choice', choices: TEMPERATURES },
      },
      {
        key: 'MaximumMemoryGB',
        label: 'Memory',
        hint: (machine) =>
          `Empty means half of the memory of this ${machine}. Larger jobs run on other devices.`,
        control: { kind: 'number', unit: 'GB', scale: 1, min: 0, empty: 'Automatic' },
      },
      {
        key: 'MaximumCacheGB',
        label: 'Disk cache',
        hint: () => 'For downloaded data and models.',
        control: { kind: 'number', unit: 'GB', scale: 1, min: 0 },
      },
      {
        key: 'MaximumUploadMbps',
        label: 'Upload speed',
        control: { kind: 'number', unit: 'Mbit/s', scale: 1, min: 0, empty: 'No limit' },
      },
      {
        key: 'Backend',
        label: 'Train on',
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
      { key: 'UpdateChecks', label: 'Check for updates', control: SWITCH },
      {
        key: 'PresenceDetail',
        label: 'Shared with the coordinator while not training',
        hint: () => 'The reason is general, such as “in use” or “on battery”.',
        control: {
          kind: 'choice',
          choices: [
            ['reasons', 'State and reason'],
            ['state', 'State only'],
          ],
        },
      },
      {
        key: 'KeepAwake',
        label: 'Stay awake while a job runs',
        hint: () => 'Only for a coordinator, and only while plugged in.',
        control: SWITCH,
      },
      {
        key: 'Mode',
        label: 'Role',
        control: {
          kind: 'choice',
          choices: [
            ['worker', 'Worker'],
            ['coordinator', 'Coordinator'],
            ['both', 'Both'],
          ],
        },
      },
      {
        key: 'CoordinatorURL',
        label: 'Coordinator address',
        hint: () => 'Empty means that it is found on the local network.',
        control: { kind: 'text', empty: 'Automatic' },
      },
    ],
  },
];

const CATALOG_KEYS = new Set(SECTIONS.flatMap(({ settings }) => settings.map(({ key }) => key)));

/** Settings that are not in the catalog. */
export function uncataloged(settings: Setting[]): Setting[] {
  return settings.filter(({ key }) => !CATALOG_KEYS.has(key));
}

/** A value as text, as in files and for `set_setting`. Null if it is not set. */
export function toText(value: unknown): string | null {
  if (value == null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A value as its control shows it. */
export function toControlText(control: Control, value: unknown): string {
  const plain = toText(value);
  if (control.kind !== 'number' || plain === null || plain === '') return plain ?? '';
  const number = Number(plain) / control.scale;
  return Number.isFinite(number) ? String(Math.round(number * 100) / 100) : plain;
}

/** Text of a control as the file stores it. Null, for the default, if it is empty. */
export function fromControlText(control: Control, typed: string): string | null {
  const plain = typed.trim();
  if (plain === '') return null;
  if (control.kind !== 'number') return plain;
  const number = Number(plain) * control.scale;
  // Scaled units, such as minutes, are stored as whole seconds.
  return String(control.scale === 1 ? number : Math.round(number));
}

/** The choices, plus the current value if this version does not know it. */
export function choicesWith(
  choices: [string, string][],
  value: unknown,
): [value: string, label: string][] {
  const plain = toText(value);
  if (plain === null || choices.some(([choice]) => choice === plain)) return choices;
  return [...choices, [plain, plain]];
}
