// Conversion between a setting's value and its control. The app reports kind, limits, choices and default of each setting;
// there is no list of settings here.
import type { Setting, SettingKind } from '../types';

/** Kinds that an input field for numbers edits. */
export interface NumberField {
  unit: string;
  /** Units of the file per shown unit. */
  scale: number;
  min: number;
  max?: number;
}

/** Durations are stored in seconds and edited in minutes. */
export function numberField(kind: SettingKind): NumberField | null {
  if (kind.type === 'number') return { unit: kind.unit, scale: 1, min: 0 };
  if (kind.type !== 'integer' && kind.type !== 'duration') return null;
  const [unit, scale] = kind.type === 'duration' ? (['minutes', 60] as const) : [kind.unit, 1];
  return { unit, scale, min: kind.minimum / scale, max: kind.maximum / scale };
}

/** A value as text, as in files and for `set_setting`. Null if it is not set. */
export function toText(value: unknown): string | null {
  if (value == null) return null;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** A value as its control shows it. */
export function toControlText(kind: SettingKind, value: unknown): string {
  const plain = toText(value);
  const field = numberField(kind);
  if (!field || plain === null || plain === '') return plain ?? '';
  const number = Number(plain) / field.scale;
  return Number.isFinite(number) ? String(Math.round(number * 100) / 100) : plain;
}

/** Text of a control as the file stores it. Null, for the default, if it is empty. */
export function fromControlText(kind: SettingKind, typed: string): string | null {
  const plain = typed.trim();
  const field = numberField(kind);
  if (plain === '') return null;
  if (!field) return plain;
  const number = Number(plain) * field.scale;
  // Scaled units, such as minutes, are stored as whole seconds.
  return String(field.scale === 1 ? number : Math.round(number));
}

/** A value in words, such as `5 minutes`, `On` or `State only`. */
export function describe({ kind, unset }: Setting, value: unknown): string {
  if (value == null) return unset;
  if (kind.type === 'bool') return value === true ? 'On' : 'Off';
  if (kind.type === 'choice') {
    return kind.choices.find((choice) => choice.value === value)?.label ?? toText(value) ?? '';
  }
  const field = numberField(kind);
  return field ? `${toControlText(kind, value)} ${field.unit}` : (toText(value) ?? '');
}

/** The choices, plus the current value if this version does not know it. */
export function choicesWith(kind: SettingKind, value: unknown): { value: string; label: string }[] {
  const choices = kind.type === 'choice' ? kind.choices : [];
  const plain = toText(value);
  if (plain === null || choices.some((choice) => choice.value === plain)) return choices;
  return [...choices, { value: plain, label: plain }];
}

/** Settings with a control, by section, in the app's order. */
export function sections(settings: Setting[]): { title: string; settings: Setting[] }[] {
  const found = new Map<string, Setting[]>();
  for (const setting of settings) {
    if (setting.section == null) continue;
    found.set(setting.section, [...(found.get(setting.section) ?? []), setting]);
  }
  return [...found].map(([title, settings]) => ({ title, settings }));
}
