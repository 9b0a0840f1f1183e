// Resumable upload of one file for an import, by XMLHttpRequest: `fetch` does not report upload progress.
import { ApiError, ask, PROTOCOL, parseApiError, unreachable } from '../../api/client';
import { authorization } from '../../api/credential';
import type { StagedUpload } from '../../api/types';

/** Number of attempts in a row that may make no progress. */
const MOST_ATTEMPTS = 5;
/** Delay before the first repeated attempt in milliseconds. It doubles with every attempt without progress. */
const FIRST_DELAY = 500;

export const uploadPath = (id: string) => `/datasets/uploads/${encodeURIComponent(id)}`;

/** Uploads a file. Resumes after the stored bytes if the connection breaks. Nothing is left if it is aborted. */
export async function stage(
  file: File,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<StagedUpload> {
  const query = new URLSearchParams({ filename: file.name, length: String(file.size) });
  let state = await ask<StagedUpload>(`/datasets/uploads?${query}`, { method: 'POST' });
  try {
    for (let attempt = 0; ; attempt += 1) {
      const before = state.received;
      try {
        return await send(file, state, progress, signal);
      } catch (error) {
        if (!isResumable(error) || attempt === MOST_ATTEMPTS) throw error;
      }
      await pause(FIRST_DELAY * 2 ** attempt, signal);
      state = await ask<StagedUpload>(uploadPath(state.id), { signal }).catch((error: unknown) => {
        if (isResumable(error)) return state;
        throw error;
      });
      if (state.received > before) attempt = -1;
    }
  } catch (error) {
    discard(state.id);
    throw signal.aborted ? stopped() : error;
  }
}

/** Deletes an uploaded file, also while the page is being left. Errors are ignored: it expires by itself. */
export function discard(id: string): void {
  const headers = { ...PROTOCOL, ...authorization() };
  void fetch(uploadPath(id), { method: 'DELETE', headers, keepalive: true }).catch(() => undefined);
}

/** Derives a dataset name from a file name. */
export function nameOf(file: string): string {
  return file
    .replace(/\.[^.]+$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 60);
}

function send(
  file: File,
  { id, received }: StagedUpload,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<StagedUpload> {
  const request = new XMLHttpRequest();
  const sent = new Promise<StagedUpload>((resolve, reject) => {
    if (signal.aborted) return reject(stopped());
    request.open('PATCH', uploadPath(id));
    const headers = {
      ...PROTOCOL,
      ...authorization(),
      'Content-Type': 'application/octet-stream',
      'Upload-Offset': String(received),
    };
    for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) =>
      progress((received + event.loaded) / Math.max(1, file.size));
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText) as StagedUpload);
      else reject(parseApiError(request.status, request.responseText));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(stopped());
    request.send(file.slice(received));
  });
  const stop = () => request.abort();
  signal.addEventListener('abort', stop);
  return sent.finally(() => signal.removeEventListener('abort', stop));
}

function isResumable(error: unknown): boolean {
  const kinds = ['offset-mismatch', 'broken-upload', 'late-body'];
  return error instanceof ApiError && (error.isUnreachable || kinds.includes(error.kind));
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => (clearTimeout(timer), reject(stopped())));
  });
}

function stopped(): ApiError {
  const detail = 'You canceled the upload. Nothing was stored.';
  return new ApiError({ type: 'stopped', title: 'Canceled', status: -1, detail });
}
