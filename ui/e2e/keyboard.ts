// A person without a mouse: every step is a key press, and nothing is focused by the test.
import type { Page } from 'playwright-core';

/** Further than this nobody goes for one control. */
const MOST_STOPS = 120;

/** What has the focus, by the name that a screen reader says; empty for the page itself. */
export function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const at = document.activeElement;
    if (!(at instanceof HTMLElement) || at === document.body) return '';
    const label = 'labels' in at ? (at as HTMLInputElement).labels?.[0]?.textContent : null;
    return (at.getAttribute('aria-label') ?? label ?? at.textContent).trim();
  });
}

/** Goes on by Tab, or back by Shift+Tab, until the control of this name has the focus. */
export async function goTo(page: Page, name: string, key = 'Tab'): Promise<void> {
  const passed: string[] = [];
  for (let stop = 0; stop < MOST_STOPS; stop += 1) {
    await page.keyboard.press(key);
    const at = await focused(page);
    if (at === name) return;
    passed.push(at);
  }
  throw new Error(`${key} does not come to '${name}'; it came to ${passed.join(' | ')}`);
}

/** Whether what has the focus is in what the selector finds. */
export function isIn(page: Page, selector: string): Promise<boolean> {
  return page.evaluate((selector) => document.activeElement?.closest(selector) !== null, selector);
}
