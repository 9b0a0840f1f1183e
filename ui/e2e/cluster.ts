// A coordinator with workers, and a browser that is signed in to the page which it serves.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { type Browser, chromium, type Page } from 'playwright-core';

import { BROWSER, BROWSER_ARGUMENTS } from './browser';

/** A name of this machine that the browser takes for another one's. */
export const ELSEWHERE = 'coordinator.test';

export class Cluster {
  readonly folder = mkdtempSync(join(tmpdir(), 'constellation-e2e-'));
  readonly data = join(this.folder, 'coordinator');
  private readonly program: string;
  private readonly children: ChildProcess[] = [];
  private browser: Browser | undefined;
  private workers = 0;
  private coordinator: ChildProcess | undefined;
  /** The coordinator's, as workers ask it. */
  url = '';
  /** The page's: over loopback it needs no TLS. */
  address = '';

  constructor() {
    const program = process.env.CONSTELLATION_BIN;
    if (!program) throw new Error('CONSTELLATION_BIN says where the program `constellation` is');
    this.program = program;
  }

  async start(): Promise<void> {
    await this.listen();
    const args = [...BROWSER_ARGUMENTS, `--host-resolver-rules=MAP ${ELSEWHERE} 127.0.0.1`];
    this.browser = await chromium.launch({ executablePath: BROWSER, args });
  }

  /** With a worker, and a browser that is signed in. */
  async ready(): Promise<Page> {
    await this.start();
    this.addWorker();
    return this.signedIn();
  }

  /** As if the power of the coordinator's machine went. */
  async kill(): Promise<void> {
    const ended = new Promise((resolve) => this.coordinator?.once('exit', resolve));
    this.coordinator?.kill('SIGKILL');
    await ended;
  }

  /** After `kill`: where it was, with what it had. */
  async startAgain(): Promise<void> {
    await this.listen(new URL(this.url).host);
  }

  /** A worker that trains at once, as another device than the ones before. */
  addWorker(name?: string): void {
    this.workers += 1;
    const made = this.run(['join-code', 'create', '--json']);
    const { link } = JSON.parse(made) as { link: string };
    const data = join(this.folder, `worker-${this.workers}`);
    const words = ['worker', '--when', 'always', '--backend', 'cpu', '--coordinator', this.url];
    if (name) words.push('--name', name);
    const worker = this.spawn([
      ...words,
      '--join',
      link,
      '--data-dir',
      data,
      '--instance',
      String(this.workers),
      '--json',
    ]);
    // Nobody reads what it tells, and a full pipe would hold it up.
    worker.stdout?.resume();
  }

  async signedIn(address = this.address): Promise<Page> {
    const page = await this.stranger();
    await this.signIn(page, address);
    return page;
  }

  async signIn(page: Page, address = this.address): Promise<void> {
    const said = this.run(['coordinator', 'sign-in']);
    const code = /#\/sign-in\/(\w+)/.exec(said)?.[1];
    await page.goto(`${address}#/sign-in/${code}`);
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  }

  async stranger(): Promise<Page> {
    if (!this.browser) throw new Error('not started');
    const context = await this.browser.newContext({
      acceptDownloads: true,
      ignoreHTTPSErrors: true,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    return page;
  }

  /** What the page asks of the API itself. */
  async get<T>(page: Page, path: string): Promise<T> {
    return page.evaluate(async (path) => {
      const token = sessionStorage.getItem('constellation-session');
      const headers: HeadersInit = token === null ? {} : { Authorization: `Bearer ${token}` };
      return (await fetch(path, { headers })).json();
    }, path) as Promise<T>;
  }

  /** Trains a job to its end; gives its id. Needs a worker. */
  train(job: string): string {
    const id = this.submit(job);
    this.run(['job', 'watch', id, '--json']);
    return id;
  }

  /** Starts a job; gives its id. */
  submit(job: string): string {
    const file = join(this.folder, 'job.toml');
    writeFileSync(file, job);
    return (JSON.parse(this.run(['job', 'submit', file, '--json'])) as { id: string }).id;
  }

  run(words: string[]): string {
    return execFileSync(this.program, [...words, '--data-dir', this.data], { encoding: 'utf8' });
  }

  async stop(): Promise<void> {
    await this.browser?.close();
    // A revoked worker has ended by itself.
    const left = this.children.filter(
      (child) => child.exitCode === null && child.signalCode === null,
    );
    const ended = left.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    for (const child of left.reverse()) child.kill('SIGTERM');
    await Promise.all(ended);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts the coordinator alone. */
  async listen(at = '127.0.0.1:0'): Promise<void> {
    const words = ['coordinator', '--json', '--no-discovery', '--listen', at];
    this.coordinator = this.spawn([...words, '--data-dir', this.data]);
    this.url = await firstAddress(this.coordinator);
    this.address = `${this.url.replace('https:', 'http:').replace(/\/$/, '')}/`;
  }

  private spawn(words: string[]): ChildProcess {
    const child = spawn(this.program, words, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.children.push(child);
    return child;
  }
}

function firstAddress(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the coordinator ended with ${code}`)));
    if (!child.stdout) return;
    createInterface(child.stdout).on('line', (line) => {
      const { url } = line.startsWith('{') ? (JSON.parse(line) as { url?: string }) : {};
      if (url) resolve(url);
    });
  });
}
