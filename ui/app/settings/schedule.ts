// Parsing and formatting of weekly schedules: `Mon-Fri 19:00-07:00, Sat-Sun 00:00-24:00`. A window whose end is before
// its start ends on the next day. An empty text means always.
export const DAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const;
export type Day = (typeof DAYS)[number];

/** Minutes since midnight; `to` is at most 1440. */
export interface Window {
  from: number;
  to: number;
}

/** Windows of each day, in the order of `DAYS`. No training starts on a day without windows. */
export type Schedule = Window[][];

export const WHOLE_DAY: Window = { from: 0, to: 1440 };

/** Its message names the invalid part and gives an example. */
export class InvalidSchedule extends Error {}

/** Parses a schedule. Returns null for an empty text, which means always. */
export function parse(text: string): Schedule | null {
  if (text.trim() === '') return null;
  const schedule: Schedule = DAYS.map(() => []);
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [days = '', window = '', ...more] = entry.split(/\s+/);
    if (window === '' || more.length > 0) {
      throw new InvalidSchedule(
        `'${entry}' is not a schedule entry. Write days and a time, such as 'Mon-Fri 19:00-07:00'`,
      );
    }
    const parsed = parseWindow(window);
    for (const day of parseDays(days)) schedule[day]?.push(parsed);
  }
  return schedule;
}

function parseDays(text: string): number[] {
  const [first = '', last = first, ...more] = text.split('-');
  const [from, to] = [dayOf(first), dayOf(last)];
  if (more.length > 0 || from < 0 || to < 0) {
    throw new InvalidSchedule(
      `'${text}' is not a day or a range of days. Write it like 'Mon' or 'Mon-Fri'`,
    );
  }
  // A range may wrap around the end of the week: `Fri-Mon`.
  const length = ((to - from + 7) % 7) + 1;
  return Array.from({ length }, (_, index) => (from + index) % 7);
}

function dayOf(text: string): number {
  return DAYS.findIndex((day) => day.toLowerCase() === text.toLowerCase());
}

function parseWindow(text: string): Window {
  const [from, to, ...more] = text.split('-').map(minutes);
  if (from == null || to == null || more.length > 0 || from === 1440) {
    throw new InvalidSchedule(`'${text}' is not a time range. Write it like '19:00-07:00'`);
  }
  if (from === to) throw new InvalidSchedule(`'${text}' starts and ends at the same time`);
  return { from, to };
}

/** Parses `19:30` to minutes since midnight. Returns null if the text is not a time. */
export function minutes(text: string): number | null {
  const [, hour, minute] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (hour === undefined || minute === undefined || Number(minute) > 59) return null;
  const all = Number(hour) * 60 + Number(minute);
  return all <= 1440 ? all : null;
}

export function clock(minutes: number): string {
  const pad = (number: number) => String(number).padStart(2, '0');
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`;
}

/** Formats a schedule. Consecutive days with the same windows share an entry. */
export function format(schedule: Schedule | null): string {
  if (schedule === null) return '';
  const entries: string[] = [];
  let first = 0;
  while (first < DAYS.length) {
    const windows = text(schedule[first]);
    let last = first;
    while (last + 1 < DAYS.length && text(schedule[last + 1]) === windows) last += 1;
    const days = first === last ? DAYS[first] : `${DAYS[first]}-${DAYS[last]}`;
    if (windows !== '') {
      entries.push(...windows.split(' ').map((window) => `${days} ${window}`));
    }
    first = last + 1;
  }
  return entries.join(', ');
}

function text(windows: Window[] | undefined): string {
  return (windows ?? []).map(({ from, to }) => `${clock(from)}-${clock(to)}`).join(' ');
}
