// A coordinator with a completed job of many rounds and with many idle devices.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

/** A small model, so that all rounds take one or two minutes. */
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

  /** Trains the job to completion with one real worker. Returns the job id. */
  async train(rounds: number): Promise<string> {
    const command = ['coordinator', '--json', '--no-discovery', '--listen', '127.0.0.1:0'];
    const coordinator = this.start(this.program, [...command, '--data-dir', this.data]);
    const { url } = JSON.parse(await firstLine(coordinator)) as { url: string };
    const { link } = this.run<{ link: string }>(['join-code', 'create']);
    const worker = this.start(this.program, [
      ...['worker', '--when', 'always', '--backend', 'cpu', '--json', '--join', link],
      ...['--coordinator', url, '--data-dir', join(this.folder, 'worker')],
    ]);
    worker.stdout?.resume();
    const file = join(this.folder, 'job.toml');
    writeFileSync(file, job(rounds));
    const { id } = this.run<{ id: string }>(['job', 'submit', file]);
    for (;;) {
      await setTimeout(2_000);
      const { status, current_epoch, reason } = this.run<Job>(['job', 'show', id]);
      if (status === 'completed') break;
      if (status === 'failed') throw new Error(`the job failed: ${reason}`);
      process.stderr.write(`\rround ${current_epoch} of ${rounds}`);
    }
    process.stderr.write('\n');
    await stopProcess(worker);
    await stopProcess(coordinator);
    return id;
  }

  /** Restarts the coordinator with this many devices, each on its own connection. */
  async startDevices(devices: number): Promise<void> {
    const command = ['--bench', '--hold', '--updates', '0', '--devices', String(devices)];
    this.load = this.start(this.generator, [...command, '--data-dir', this.data]);
    const line = await firstLine(this.load);
    if (line !== 'ready') throw new Error(`unexpected output of the load generator: '${line}'`);
  }

  /** Creates a single-use sign-in link. */
  signIn(): string {
    const command = ['coordinator', 'sign-in', '--data-dir', this.data];
    const output = execFileSync(this.program, command, { encoding: 'utf8' });
    const link = /https?:\S+#\/sign-in\/\w+/.exec(output)?.[0];
    if (!link) throw new Error(`no link in '${output}'`);
    return link;
  }

  async stop(): Promise<void> {
    if (this.load) {
      this.load.stdin?.end();
      await new Promise((resolve) => this.load?.once('exit', resolve));
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private run<T>(command: string[]): T {
    const all = [...command, '--json', '--data-dir', this.data];
    return JSON.parse(execFileSync(this.program, all, { encoding: 'utf8' })) as T;
  }

  private start(program: string, command: string[]): ChildProcess {
    return spawn(program, command, { stdio: ['pipe', 'pipe', 'ignore'] });
  }
}

interface Job {
  status: string;
  current_epoch: number;
  reason: string | null;
}

async function stopProcess(child: ChildProcess): Promise<void> {
  const exit = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exit;
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the process exited with code ${code}`)));
    if (child.stdout) createInterface(child.stdout).on('line', resolve);
  });
}

/** Proportional set size of a process in MB (10^6 bytes). Linux only. */
export function memory(process: number): number {
  const rollup = readFileSync(`/proc/${process}/smaps_rollup`, 'utf8');
  return (Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) * 1024) / 1e6;
}
