// Color theme: light, dark, or the same as the system.
export type Choice = 'system' | 'light' | 'dark';

const KEY = 'constellation-theme';
const CHOICES: Choice[] = ['system', 'light', 'dark'];
const prefersDark = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  choice = $state<Choice>(stored());
  private systemDark = $state(prefersDark.matches);
  readonly dark = $derived(this.choice === 'system' ? this.systemDark : this.choice === 'dark');

  constructor() {
    prefersDark.addEventListener('change', (event) => (this.systemDark = event.matches));
  }

  next(): void {
    this.set(CHOICES[(CHOICES.indexOf(this.choice) + 1) % CHOICES.length] ?? 'system');
  }

  set(choice: Choice): void {
    this.choice = choice;
    try {
      localStorage.setItem(KEY, this.choice);
    } catch {
      // Without local storage the choice lasts until the page is closed.
    }
  }
}

export const theme = new Theme();

/** Value of a CSS color variable, for drawing on a canvas. */
export function color(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function stored(): Choice {
  try {
    const choice = localStorage.getItem(KEY) as Choice | null;
    return choice !== null && CHOICES.includes(choice) ? choice : 'system';
  } catch {
    return 'system';
  }
}
