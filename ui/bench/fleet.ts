// A coordinator with a job of many rounds behind it and many devices that wait.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

/** A small model, so that the rounds take no more than a minute or two. */
const job = (rounds: number) => `
name = "many rounds"
model_type = "vision"
dataset = "synthetic_images"
[model]
preset = "mlp"
[data]
partitions = 1
train_limit = 64
[plan]
local_steps = 1
[run]
rounds = ${rounds}
`;

export class Fleet {
  private readonly folder = mkdtempSync(join(tmpdir(), 'constellation-bench-'));
  private readonly data = join(this.folder, 'coordinator');
  private load: ChildProcess | undefined;

  constructor(
    private readonly program: string,
    private readonly generator: string,
  ) {}

  /** Trains the job to its end with one real worker; gives the job's id. */
  async train(rounds: number): Promise<string> {
    const words = ['coordinator', '--json', '--no-discovery', '--listen', '127.0.0.1:0'];
    const coordinator = this.start(this.program, [...words, '--data-dir', this.data]);
    const { url } = JSON.parse(await firstLine(coordinator)) as { url: string };
    const { link } = this.ask<{ link: string }>(['join-code', 'create']);
    const worker = this.start(this.program, [
      ...['worker', '--when', 'always', '--backend', 'cpu', '--json', '--join', link],
      ...['--coordinator', url, '--data-dir', join(this.folder, 'worker')],
    ]);
    worker.stdout?.resume();
    const file = join(this.folder, 'job.toml');
    writeFileSync(file, job(rounds));
    const { id } = this.ask<{ id: string }>(['job', 'submit', file]);
    for (;;) {
      await setTimeout(2_000);
      const { status, current_epoch, reason } = this.ask<Job>(['job', 'show', id]);
      if (status === 'completed') break;
      if (status === 'failed') throw new Error(`the job failed: ${reason}`);
      process.stderr.write(`\rround ${current_epoch} of ${rounds}`);
    }
    process.stderr.write('\n');
    await ended(worker);
    await ended(coordinator);
    return id;
  }

  /** Starts the coordinator again, with so many devices, each with a connection of its own. */
  async gather(devices: number): Promise<void> {
    const words = ['--bench', '--hold', '--updates', '0', '--devices', String(devices)];
    this.load = this.start(this.generator, [...words, '--data-dir', this.data]);
    const said = await firstLine(this.load);
    if (said !== 'ready') throw new Error(`the generator said '${said}'`);
  }

  /** A link that signs in once. */
  signIn(): string {
    const words = ['coordinator', 'sign-in', '--data-dir', this.data];
    const said = execFileSync(this.program, words, { encoding: 'utf8' });
    const link = /https?:\S+#\/sign-in\/\w+/.exec(said)?.[0];
    if (!link) throw new Error(`no link in '${said}'`);
    return link;
  }

  async stop(): Promise<void> {
    if (this.load) {
      this.load.stdin?.end();
      await new Promise((resolve) => this.load?.once('exit', resolve));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private ask<T>(words: string[]): T {
    const all = [...words, '--json', '--data-dir', this.data];
    return JSON.parse(execFileSync(this.program, all, { encoding: 'utf8' })) as T;
  }

  private start(program: string, words: string[]): ChildProcess {
    return spawn(program, words, { stdio: ['pipe', 'pipe', 'ignore'] });
  }
}

interface Job {
  status: string;
  current_epoch: number;
  reason: string | null;
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)));
    if (child.stdout) createInterface(child.stdout).on('line', resolve);
  });
}

/** Proportional share of memory of a process, in MB (10^6 bytes); Linux. */
export function memory(process: number): number {
  const rollup = readFileSync(`/proc/${process}/smaps_rollup`, 'utf8');
  return (Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) * 1024) / 1e6;
}
