// Every request of the page. They go to where the page comes from, with the session: the tab's, or the cookie
// of a coordinator on another machine.
import { authorization } from './credential';
import type { FileProblem, Problem, RowProblem } from './types';

/** Older and newer coordinators tell each other apart by it, and no form of another site sends it. */
export const PROTOCOL = { 'Constellation-Protocol': '1' };

/** An answer that says what is wrong and what to change. */
export class Failure extends Error {
  readonly status: number;
  readonly field: string | null;
  readonly kind: string;
  /** The first rows of a file that couldn't be used, where the problem lists them. */
  readonly rows: RowProblem[];
  /** All of those rows. */
  readonly badRows: number;

  constructor(problem: Problem & Partial<FileProblem>) {
    super(problem.detail);
    this.status = problem.status;
    this.field = problem.field ?? null;
    this.kind = problem.type;
    this.rows = problem.rows ?? [];
    this.badRows = problem.bad_rows ?? this.rows.length;
  }

  /** The coordinator doesn't answer at all. */
  get isUnreachable(): boolean {
    return this.status === 0;
  }

  /** A coordinator of an older build that lacks this part of the API. */
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

/** Says what happens when the coordinator no longer knows this session. */
export function onSignedOut(then: () => void): void {
  whenSignedOut = then;
}

/** Asks for JSON. A path begins with a slash, as the API's document has it. */
export async function ask<T>(path: string, { method = 'GET', body, signal }: Ask = {}): Promise<T> {
  const response = await send(path, { method, body, signal });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Asks for bytes. */
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
  const failure = readFailure(response.status, await response.text());
  if (failure.status === 401 && path !== '/sessions') whenSignedOut();
  throw failure;
}

export function unreachable(): Failure {
  const detail = 'The coordinator does not answer. It may be stopped, or this computer is offline.';
  return new Failure({ type: 'unreachable', title: 'Not connected', status: 0, detail });
}

/** What an error answer says; a proxy in between may answer something else than a problem. */
export function readFailure(status: number, text: string): Failure {
  try {
    const problem = JSON.parse(text) as Problem;
    if (typeof problem.detail === 'string') return new Failure({ ...problem, status });
  } catch {
    // Told below.
  }
  // A development server answers so where the coordinator behind it is gone.
  if (status === 502 || (status === 500 && text === '')) return unreachable();
  const detail = `The coordinator answered ${status} without saying why.`;
  return new Failure({ type: 'unexplained', title: 'Unexplained', status, detail });
}

/** Any error as a failure, to be shown. */
export function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const detail = error instanceof Error ? error.message : String(error);
  return new Failure({ type: 'page', title: 'The page failed', status: -1, detail });
}
