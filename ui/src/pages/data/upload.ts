// Upload with progress, by XMLHttpRequest: `fetch` does not report upload progress.
import { ApiError, PROTOCOL, parseApiError, unreachable } from '../../api/client';
import { authorization } from '../../api/credential';
import type { AddedDataset } from '../../api/types';

export interface Upload {
  done: Promise<AddedDataset>;
  stop: () => void;
}

export function upload(file: File, name: string, progress: (share: number) => void): Upload {
  const request = new XMLHttpRequest();
  const done = new Promise<AddedDataset>((resolve, reject) => {
    const query = new URLSearchParams({ name, filename: file.name });
    request.open('POST', `/datasets?${query}`);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    const headers = { ...PROTOCOL, ...authorization() };
    for (const [header, value] of Object.entries(headers)) request.setRequestHeader(header, value);
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onload = () => {
      if (request.status < 300) resolve(JSON.parse(request.responseText) as AddedDataset);
      else reject(parseApiError(request.status, request.responseText));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(stopped());
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}

function stopped(): ApiError {
  const detail = 'You canceled the upload. Nothing was stored.';
  return new ApiError({ type: 'stopped', title: 'Canceled', status: -1, detail });
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
