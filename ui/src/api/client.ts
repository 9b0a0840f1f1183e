// Every request of the page. They go to where the page comes from, with the session: the tab's, or the cookie
// of a coordinator on another machine.
import { authorization } from './credential';
import type { FileProblem, Problem, RowProblem } from './types';

/** Protocol version of the page. Forms of other sites cannot send it, which prevents cross-site requests. */
export const PROTOCOL = { 'Constellation-Protocol': '1' };

/** Error answer of the API. Its message names the problem and the fix. */
export class ApiError extends Error {
  readonly status: number;
  readonly field: string | null;
  readonly kind: string;
  /** First invalid rows of an uploaded file. */
  readonly rows: RowProblem[];
  /** Number of invalid rows. */
  readonly badRows: number;

  constructor(problem: Problem & Partial<FileProblem>) {
    super(problem.detail);
    this.status = problem.status;
    this.field = problem.field ?? null;
    this.kind = problem.type;
    this.rows = problem.rows ?? [];
    this.badRows = problem.bad_rows ?? this.rows.length;
  }

  /** Whether the coordinator did not answer. */
  get isUnreachable(): boolean {
    return this.status === 0;
  }

  /** Whether this version of the coordinator lacks the endpoint. */
  get isUnknown(): boolean {
    return this.status === 404 || this.status === 405;
  }
}

export interface Ask {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal;
}

let whenSignedOut: () => void = () => undefined;

/** Sets the callback for when the session has ended. */
export function onSignedOut(then: () => void): void {
  whenSignedOut = then;
}

/** Sends a request and returns the JSON answer. The path starts with a slash. */
export async function ask<T>(path: string, { method = 'GET', body, signal }: Ask = {}): Promise<T> {
  const response = await send(path, { method, body, signal });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Sends a request and returns the bytes of the answer. */
export async function askBytes(path: string, options: Ask = {}): Promise<Blob> {
  return (await send(path, options)).blob();
}

async function send(path: string, { method, body, signal }: Ask): Promise<Response> {
  const headers: Record<string, string> = { ...PROTOCOL, ...authorization() };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  const init: RequestInit = { method, headers, signal, credentials: 'same-origin' };
  if (body !== undefined) init.body = JSON.stringify(body);
  const response = await fetch(path, init).catch((error: unknown) => {
    if (signal?.aborted) throw error;
    throw unreachable();
  });
  if (response.ok) return response;
  const failure = parseApiError(response.status, await response.text());
  if (failure.status === 401 && path !== '/sessions') whenSignedOut();
  throw failure;
}

export function unreachable(): ApiError {
  const detail =
    'The coordinator is not reachable. Check that it is running and that this computer is online.';
  return new ApiError({ type: 'unreachable', title: 'Not connected', status: 0, detail });
}

/** Parses an error answer. A proxy may answer with something other than a problem document. */
export function parseApiError(status: number, text: string): ApiError {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.detail === 'string') return new ApiError({ ...problem, status });
  } catch {
    // Not JSON: handled below.
  }
  // The development server answers like this if the coordinator is not running.
  if (status === 502 || (status === 500 && text === '')) return unreachable();
  const detail = `The coordinator answered with status ${status} and no details. See its log.`;
  return new ApiError({ type: 'unexplained', title: 'Unknown error', status, detail });
}

/** Converts any error to an `ApiError`, for display. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new ApiError({ type: 'page', title: 'The page failed', status: -1, detail });
}
