import { expect, test } from 'vitest';

import type { ColumnRole, PlannedColumn } from '../../api/types';
import { answerOf, withAnswer, withRole } from './importOptions';

const columns = (roles: Record<string, ColumnRole>): PlannedColumn[] =>
  Object.entries(roles).map(([name, role]) => ({
    name,
    role,
    type: 'text',
    distinct: 2,
    missing: 0,
    examples: [],
    reason: '',
  }));

test('a new label makes the old one unused and keeps the text', () => {
  const found = columns({ title: 'text', body: 'text', stars: 'label', kind: 'unused' });
  expect(withRole({ header: true }, found, 'kind', 'label')).toEqual({
    header: true,
    text: ['title', 'body'],
    label: 'kind',
  });
});

test('a text column joins the others in their order, and leaves them', () => {
  const found = columns({ title: 'unused', body: 'text', stars: 'label' });
  expect(withRole({}, found, 'title', 'text')).toEqual({ text: ['title', 'body'], label: 'stars' });
  expect(withRole({ text: ['body'] }, found, 'body', 'unused')).toEqual({ label: 'stars' });
});

test('an image column replaces the text', () => {
  const found = columns({ caption: 'text', png: 'unused', kind: 'label' });
  expect(withRole({}, found, 'png', 'image')).toEqual({ image: 'png', label: 'kind' });
});

test('answers become options of their type, and are shown again', () => {
  for (const [option, text, options] of [
    ['label', 'stars', { label: 'stars' }],
    ['text', 'title, body', { text: ['title', 'body'] }],
    ['header', 'false', { header: false }],
    ['merge_classes', 'true', { merge_classes: true }],
    ['limit', '5', { limit: 5 }],
    ['resize', '64x48', { resize: { width: 64, height: 48 } }],
    ['splits', 'validation=val', { splits: { val: 'validation' } }],
  ] as const) {
    expect(withAnswer({}, option, text)).toEqual(options);
    expect(answerOf(withAnswer({}, option, text), option)).toBe(text);
    expect(withAnswer(options as object, option, '')).toEqual({});
  }
  expect(withAnswer({}, 'splits', 'tail')).toEqual({ test_split: 'tail' });
  expect(withAnswer({}, 'header', '--no-header')).toEqual({ header: false });
  expect(withAnswer({}, 'limit', 'many')).toEqual({});
});
