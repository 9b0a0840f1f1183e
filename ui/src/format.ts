// Formatting of numbers and times.
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const dayAndTime = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const clock = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false });

/** Placeholder for a missing value. */
export const NONE = '–';

export function count(value: number | null | undefined): string {
  return value == null ? NONE : whole.format(value);
}

/** Compact form: `1.2M`. */
export function short(value: number | null | undefined): string {
  return value == null ? NONE : compact.format(value === 0 ? 0 : value);
}

export function percent(value: number | null | undefined, digits = 1): string {
  return value == null ? NONE : `${(value * 100).toFixed(digits)}%`;
}

export function decimal(value: number | null | undefined, digits = 4): string {
  return value == null ? NONE : value.toFixed(digits);
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [left, unit] = [value, 0];
  while (left >= 1024 && unit < units.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${unit === 0 ? whole.format(left) : one.format(left)} ${units[unit]}`;
}

/** `2 h 5 min`. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return NONE;
  if (seconds < 0.95) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${one.format(seconds)} s`;
  const total = Math.round(seconds);
  const [days, hours] = [Math.floor(total / 86_400), Math.floor((total % 86_400) / 3600)];
  const minutes = Math.floor((total % 3600) / 60);
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  return total % 60 > 0 ? `${minutes} min ${total % 60} s` : `${minutes} min`;
}

/** Three digits at most: `0.4 Wh`, `35 Wh`, `1.2 kWh`. */
export function energy(wattHours: number): string {
  if (wattHours === 0) return NONE;
  if (wattHours < 0.05) return 'under 0.1 Wh';
  if (wattHours < 9.95) return `${wattHours.toFixed(1)} Wh`;
  if (wattHours < 999.5) return `${wattHours.toFixed(0)} Wh`;
  return `${(wattHours / 1000).toFixed(wattHours < 99_500 ? 1 : 0)} kWh`;
}

export function between(from: string, to: string | null | undefined, now: number): number {
  return Math.max(0, ((to == null ? now : Date.parse(to)) - Date.parse(from)) / 1000);
}

/** `3 min ago`, `in 2 h`. */
export function ago(time: string | null | undefined, now: number): string {
  if (time == null) return NONE;
  const seconds = (now - Date.parse(time)) / 1000;
  if (Math.abs(seconds) < 10) return 'just now';
  const span = duration(Math.floor(Math.abs(seconds))).replace(/^(\d+ (?:d|h|min)) .*/, '$1');
  return seconds > 0 ? `${span} ago` : `in ${span}`;
}

export function dateTime(time: string | null | undefined): string {
  return time == null ? NONE : dayAndTime.format(new Date(time));
}

export function clockTime(time: string): string {
  return clock.format(new Date(time));
}

export function plural(number: number, noun: string, many = `${noun}s`): string {
  return `${count(number)} ${number === 1 ? noun : many}`;
}
