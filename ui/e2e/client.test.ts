// The OpenAPI document as a generator of clients needs it: types by openapi-typescript, a program that tsc compiles against them, and
// a job that the compiled program runs.
import { execFile, execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { blake3 } from '@noble/hashes/blake3.js';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { Cluster } from './cluster';

const UI = dirname(dirname(fileURLToPath(import.meta.url)));
/** Below node_modules, where the program finds the packages that it imports. */
const folder = mkdtempSync(join(UI, 'node_modules', '.client-'));
const cluster = new Cluster();

beforeAll(async () => {
  await cluster.listen();
  cluster.addWorker();
});
afterAll(async () => {
  await cluster.stop();
  rmSync(folder, { recursive: true, force: true });
});

const tool = (name: string, words: string[]) =>
  execFileSync(join(UI, 'node_modules', '.bin', name), words, { cwd: folder, encoding: 'utf8' });

test('a TypeScript client made from the document compiles and runs a job', async () => {
  const document = await (await fetch(`${cluster.address}openapi.json`)).text();
  const program = join(folder, 'e2e/client/runJob.ts');
  for (const made of ['src/api', 'e2e/client']) mkdirSync(join(folder, made), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'openapi.json'), document);
  cpSync(join(UI, 'e2e/client/runJob.ts'), program);
  // Fields with a default may be left out of requests.
  const types = ['openapi.json', '--default-non-nullable', 'false', '-o', 'src/api/schema.d.ts'];
  tool('openapi-typescript', types);
  const language = ['--target', 'ES2022', '--module', 'ESNext', '--moduleResolution', 'bundler'];
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--types', 'node', '--skipLibCheck'];
  tool('tsc', [program, ...language, ...strict, '--outDir', join(folder, 'out')]);

  const made = cluster.run(['token', 'create', '--role', 'admin', '--name', 'client', '--json']);
  const { token } = JSON.parse(made) as { token: string };
  const words = [join(folder, 'out/runJob.js'), cluster.address.replace(/\/$/, ''), token];
  const { stdout } = await promisify(execFile)(process.execPath, words, { maxBuffer: 1 << 28 });
  const { file, ...result } = JSON.parse(stdout) as Record<string, unknown> & { file: string };
  const bytes = Buffer.from(file, 'base64');
  const hash = Buffer.from(blake3(bytes)).toString('hex');
  expect(result).toMatchObject({
    rounds: 2,
    blake3: hash,
    etag: `"${hash}"`,
    bytes: bytes.length,
    models: ['from typescript'],
    refused: [422, 'name'],
  });
  const ran = `${result.rounds} rounds, ${bytes.length} bytes, BLAKE3 ${hash}`;
  process.stdout.write(`the TypeScript client ran a job and downloaded its model: ${ran}\n`);
});
