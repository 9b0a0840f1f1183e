import { expect, test } from 'vitest';

import {
  choicesWith,
  type Control,
  fromControlText,
  SECTIONS,
  toControlText,
  toText,
  uncataloged,
} from './catalog';

const MINUTES: Control = { kind: 'number', unit: 'minutes', scale: 60, min: 0 };
const GIGABYTES: Control = { kind: 'number', unit: 'GB', scale: 1, min: 0 };

test('seconds are edited as minutes', () => {
  expect([300, 45, 0, null].map((value) => toControlText(MINUTES, value))).toEqual([
    '5',
    '0.75',
    '0',
    '',
  ]);
  expect(['5', '0.75', '0', ' '].map((typed) => fromControlText(MINUTES, typed))).toEqual([
    '300',
    '45',
    '0',
    null,
  ]);
});

test('other numbers are edited as stored', () => {
  expect(toControlText(GIGABYTES, 2.5)).toBe('2.5');
  expect(fromControlText(GIGABYTES, '2.5')).toBe('2.5');
});

test('a value is converted to the text of the file', () => {
  expect([true, 'fair', 5, null, undefined].map(toText)).toEqual(['true', 'fair', '5', null, null]);
});

test('a value that is not among the choices is added to them', () => {
  expect(choicesWith([['a', 'A']], 'b')).toEqual([
    ['a', 'A'],
    ['b', 'b'],
  ]);
  expect(choicesWith([['a', 'A']], null)).toEqual([['a', 'A']]);
});

test('a setting without a section is uncataloged', () => {
  const setting = (key: string) => ({ key, value: null, origin: 'default' as const, about: '' });
  expect(uncataloged(['LogLevel', 'IdleSeconds'].map(setting))).toEqual([setting('LogLevel')]);
});

test('the detail of the presence is a choice of the values that the app takes', () => {
  const all = SECTIONS.flatMap(({ settings }) => settings);
  const control = all.find(({ key }) => key === 'PresenceDetail')?.control;
  expect(control).toMatchObject({ kind: 'choice' });
  const choices = control?.kind === 'choice' ? control.choices : [];
  expect(choices.map(([value]) => value)).toEqual(['reasons', 'state']);
});
