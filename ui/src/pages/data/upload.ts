// Sends a file with its progress; `fetch` can't tell how much of a body has gone.
import { Failure, PROTOCOL, readFailure, unreachable } from '../../api/client';
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
      else reject(readFailure(request.status, request.responseText));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(stopped());
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}

function stopped(): Failure {
  const detail = 'You stopped the upload. Nothing of it was kept.';
  return new Failure({ type: 'stopped', title: 'Stopped', status: -1, detail });
}

/** A dataset's name made of a file's. */
export function nameOf(file: string): string {
  return file
    .replace(/\.[^.]+$/, '')
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .replace(/^_+|_+$/g, '')
    .slice(0, 60);
}
