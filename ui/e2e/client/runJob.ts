// A client of the API as somebody else would write it: types from the OpenAPI document by openapi-typescript, requests by
// openapi-fetch. Usage: node runJob.js ADDRESS TOKEN. Runs a job, downloads its model, and prints what it found as JSON.
import { createHash } from 'node:crypto';

import createClient from 'openapi-fetch';

import type { components, paths } from '../../src/api/schema';

type Job = components['schemas']['Job'];
type JobSpec = components['schemas']['JobSpec'];
type Problem = components['schemas']['Problem'];

const JOB_TIMEOUT_MS = 150_000;

const [baseUrl = '', token = ''] = process.argv.slice(2);
const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const spec: JobSpec = {
  name: 'from typescript',
  model_type: 'nlp',
  dataset: 'synthetic',
  data: { partitions: 2, train_limit: 200 },
  plan: { optimizer: { kind: 'sgd', learning_rate: 0.1 } },
  run: { rounds: 2 },
};

function found<T>(answer: { data?: T; error?: Problem }): T {
  if (answer.data === undefined) throw new Error(answer.error?.detail ?? 'no answer');
  return answer.data;
}

async function ended(id: string): Promise<Job> {
  const params = { path: { id } };
  const deadline = Date.now() + JOB_TIMEOUT_MS;
  let after = 0;
  for (;;) {
    const job = found(await api.GET('/jobs/{id}', { params }));
    if (['completed', 'failed', 'cancelled'].includes(job.status)) return job;
    if (Date.now() > deadline)
      throw new Error(`the job did not end: ${job.explanation?.join('; ')}`);
    after = found(await api.GET('/events', { params: { query: { after, wait: 5 } } })).revision;
  }
}

const created = found(await api.POST('/jobs', { body: spec }));
found(await api.POST('/jobs/{id}/start', { params: { path: { id: created.id } } }));
const job = await ended(created.id);
if (job.status !== 'completed') throw new Error(`the job is ${job.status}: ${job.reason}`);

const path = { name: job.name };
const download = await api.GET('/models/{name}/download', {
  params: { path },
  parseAs: 'arrayBuffer',
});
const file = new Uint8Array(found(download));
const refused = await api.POST('/jobs', { body: { ...spec, name: '' } });
const listed = found(await api.GET('/models', {}));

process.stdout.write(
  JSON.stringify({
    rounds: job.current_epoch,
    accuracy: job.test_accuracy,
    blake3: job.model_blake3,
    etag: download.response.headers.get('etag'),
    bytes: file.length,
    sha256: createHash('sha256').update(file).digest('hex'),
    models: listed.map((model) => model.name),
    refused: [refused.response.status, refused.error?.field],
    file: Buffer.from(file).toString('base64'),
  }),
);
