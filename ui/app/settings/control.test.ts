import { expect, test } from 'vitest';

import { SETTINGS } from '../../screenshots/app.views';
import type { Setting, SettingKind } from '../types';
import {
  choicesWith,
  describe,
  fromControlText,
  numberField,
  sections,
  toControlText,
  toText,
} from './control';

const SECONDS: SettingKind = { type: 'duration', minimum: 0, maximum: 3600 };
const GIGABYTES: SettingKind = { type: 'number', unit: 'GB' };
const LETTERS: SettingKind = { type: 'choice', choices: [{ value: 'a', label: 'A' }] };

function named(key: string): Setting {
  const found = SETTINGS.settings.find((setting) => setting.key === key);
  if (!found) throw new Error(`there is no setting ${key}`);
  return found;
}

test('seconds are edited as minutes', () => {
  expect([300, 45, 0, null].map((value) => toControlText(SECONDS, value))).toEqual([
    '5',
    '0.75',
    '0',
    '',
  ]);
  expect(['5', '0.75', '0', ' '].map((typed) => fromControlText(SECONDS, typed))).toEqual([
    '300',
    '45',
    '0',
    null,
  ]);
  expect(numberField(SECONDS)).toEqual({ unit: 'minutes', scale: 60, min: 0, max: 60 });
});

test('other numbers are edited as stored', () => {
  expect(toControlText(GIGABYTES, 2.5)).toBe('2.5');
  expect(fromControlText(GIGABYTES, '2.5')).toBe('2.5');
  expect(numberField(named('MinimumBattery').kind)).toMatchObject({ unit: '%', max: 100 });
});

test('a value is converted to the text of the file', () => {
  expect([true, 'fair', 5, null, undefined].map(toText)).toEqual(['true', 'fair', '5', null, null]);
});

test('a value that is not among the choices is added to them', () => {
  expect(choicesWith(LETTERS, 'b')).toEqual([
    { value: 'a', label: 'A' },
    { value: 'b', label: 'b' },
  ]);
  expect(choicesWith(LETTERS, null)).toEqual([{ value: 'a', label: 'A' }]);
});

test('defaults are described in words', () => {
  const words = (key: string) => describe(named(key), named(key).default);
  expect(words('IdleSeconds')).toBe('5 minutes');
  expect(words('MaximumCacheGB')).toBe('10 GB');
  expect(words('MaximumUploadMbps')).toBe('No limit');
  expect(words('AllowBattery')).toBe('Off');
  expect(words('PresenceDetail')).toBe('State and reason');
});

test('each setting with a control is in one section, and only a user’s', () => {
  const drawn = sections(SETTINGS.settings).flatMap(({ settings }) => settings);
  expect(drawn.map(({ key }) => key)).toContain('PresenceDetail');
  expect(new Set(drawn).size).toBe(drawn.length);
  expect(drawn.every(({ changed_by }) => changed_by === 'user')).toBe(true);
  expect(drawn.map(({ key }) => key)).not.toContain('AllowUserQuit');
});
