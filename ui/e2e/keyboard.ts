// Keyboard navigation: every step is a key press; the test focuses nothing itself.
import type { Page } from 'playwright-core';

/** Limit on tab stops to reach one control. */
const MAXIMUM_STOPS = 120;

/** Accessible name of the focused element; empty for the page itself. */
export function focused(page: Page): Promise<string> {
  return page.evaluate(() => {
    const at = document.activeElement;
    if (!(at instanceof HTMLElement) || at === document.body) return '';
    const label = 'labels' in at ? (at as HTMLInputElement).labels?.[0]?.textContent : null;
    return (at.getAttribute('aria-label') ?? label ?? at.textContent).trim();
  });
}

/** Presses Tab, or Shift+Tab, until the control with this name has the focus. */
export async function goTo(page: Page, name: string, key = 'Tab'): Promise<void> {
  const visited: string[] = [];
  for (let stop = 0; stop < MAXIMUM_STOPS; stop += 1) {
    await page.keyboard.press(key);
    const at = await focused(page);
    if (at === name) return;
    visited.push(at);
  }
  throw new Error(`${key} does not reach '${name}'; it reached ${visited.join(' | ')}`);
}

/** Whether the focused element is inside an element that matches the selector. */
export function isIn(page: Page, selector: string): Promise<boolean> {
  return page.evaluate((selector) => document.activeElement?.closest(selector) !== null, selector);
}
