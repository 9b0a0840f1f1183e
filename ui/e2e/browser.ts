// Path and arguments of the browser for tests, screenshots and benchmarks. CHROMIUM overrides the path.
const DEFAULT_PATH =
  process.platform === 'darwin'
    ? '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
    : '/usr/bin/chromium';

export const BROWSER = process.env.CHROMIUM ?? DEFAULT_PATH;

export const BROWSER_ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
