import { expect, test } from 'vitest';

import { clock, DAYS, format, minutes, parse, WHOLE_DAY } from './schedule';

const NIGHT = { from: 1140, to: 420 };

test('days, ranges and windows over midnight are parsed', () => {
  const schedule = parse('Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00');
  expect(schedule).toEqual([[NIGHT], [NIGHT], [NIGHT], [NIGHT], [NIGHT], [WHOLE_DAY], [WHOLE_DAY]]);
  expect(parse('wed 9:30-12:00, WED 13:00-17:00')?.[2]).toEqual([
    { from: 570, to: 720 },
    { from: 780, to: 1020 },
  ]);
});

test('a range may wrap around the end of the week', () => {
  const days = parse('Sat-Mon 00:00-24:00')?.map((windows) => windows.length);
  expect(days).toEqual([1, 0, 0, 0, 0, 1, 1]);
});

test('an empty text means always', () => {
  expect(parse(' ')).toBeNull();
  expect(format(null)).toBe('');
});

test.each([
  ['Mon-Fri', "'Mon-Fri' is not a schedule entry. Write days and a time"],
  ['Moon 19:00-07:00', "'Moon' is not a day or a range of days"],
  ['Mon 19:00-25:00', "'19:00-25:00' is not a time range. Write it like '19:00-07:00'"],
  ['Mon 19:60-20:00', "'19:60-20:00' is not a time range. Write it like '19:00-07:00'"],
  ['Mon 24:00-07:00', "'24:00-07:00' is not a time range. Write it like '19:00-07:00'"],
  ['Mon 07:00-07:00', "'07:00-07:00' starts and ends at the same time"],
])('%s is refused', (text, message) => {
  expect(() => parse(text)).toThrow(message);
});

test.each([
  'Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00',
  'Mon-Sun 00:00-24:00',
  'Mon 09:00-12:00, Mon 13:00-17:00, Wed 09:00-12:00',
  'Tue 00:00-24:00, Thu-Sun 22:00-06:00',
])('%s is formatted as it was written', (text) => {
  expect(format(parse(text))).toBe(text);
});

test('every schedule with one window per day survives formatting and parsing', () => {
  for (let days = 1; days < 2 ** DAYS.length; days += 1) {
    const schedule = DAYS.map((_, day) => (days & (2 ** day) ? [day % 2 ? NIGHT : WHOLE_DAY] : []));
    expect(parse(format(schedule))).toEqual(schedule);
  }
});

test('times are minutes since midnight', () => {
  expect([minutes('07:05'), minutes('24:00'), minutes('24:01'), minutes('soon')]).toEqual([
    425,
    1440,
    null,
    null,
  ]);
  expect([clock(425), clock(1440)]).toEqual(['07:05', '24:00']);
});
