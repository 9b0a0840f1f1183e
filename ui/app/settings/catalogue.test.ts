import { expect, test } from 'vitest';

import { choicesOf, type Control, others, shown, text, written } from './catalogue';

const MINUTES: Control = { kind: 'number', unit: 'minutes', scale: 60, min: 0 };
const GIGABYTES: Control = { kind: 'number', unit: 'GB', scale: 1, min: 0 };

test('seconds are shown and typed as minutes', () => {
  expect([300, 45, 0, null].map((value) => shown(MINUTES, value))).toEqual(['5', '0.75', '0', '']);
  expect(['5', '0.75', '0', ' '].map((typed) => written(MINUTES, typed))).toEqual([
    '300',
    '45',
    '0',
    null,
  ]);
});

test('other numbers are as they are', () => {
  expect(shown(GIGABYTES, 2.5)).toBe('2.5');
  expect(written(GIGABYTES, '2.5')).toBe('2.5');
});

test('a value is a text as files have it', () => {
  expect([true, 'fair', 5, null, undefined].map(text)).toEqual(['true', 'fair', '5', null, null]);
});

test('a choice that this version does not know stays choosable', () => {
  expect(choicesOf([['a', 'A']], 'b')).toEqual([
    ['a', 'A'],
    ['b', 'b'],
  ]);
  expect(choicesOf([['a', 'A']], null)).toEqual([['a', 'A']]);
});

test('what has no place of its own is among the others', () => {
  const setting = (key: string) => ({ key, value: null, origin: 'default' as const, about: '' });
  expect(others(['LogLevel', 'IdleSeconds'].map(setting))).toEqual([setting('LogLevel')]);
});
