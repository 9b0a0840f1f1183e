// State of an import: its uploaded files, decisions, plan and result. Nothing is stored before the import.
import { type ApiError, ask, toApiError } from '../../api/client';
import type {
  AddedDataset,
  FileRole,
  ImportOptions,
  ImportPlan,
  StagedUpload,
} from '../../api/types';
import { touch } from '../../live/live.svelte';
import { discard, nameOf, stage, uploadPath } from './staging';

/** Time between two questions for the number of rows that were read, in milliseconds. */
const PROGRESS_INTERVAL = 1000;

/** Chosen file and its upload. */
export class ImportFile {
  readonly file: File;
  role = $state<FileRole>('data');
  /** Share of the file that was sent, from 0 to 1. */
  sent = $state(0);
  upload = $state.raw<StagedUpload | null>(null);
  failure = $state.raw<ApiError | null>(null);
  readonly controller = new AbortController();

  constructor(file: File) {
    this.file = file;
  }
}

export class ImportWizard {
  files = $state.raw<ImportFile[]>([]);
  options = $state.raw<ImportOptions>({});
  plan = $state.raw<ImportPlan | null>(null);
  /** Error of the inspection or of the import. */
  failure = $state.raw<ApiError | null>(null);
  inspecting = $state(false);
  importing = $state(false);
  /** Number of rows that the coordinator has read so far. */
  rowsRead = $state<number | null>(null);
  name = $state('');
  added = $state.raw<AddedDataset | null>(null);
  private inspection: AbortController | undefined;

  /** Whether a file is still being uploaded. */
  get uploading(): boolean {
    return this.files.some((one) => !one.upload && !one.failure);
  }

  /** Adds files, uploads them one after the other, and reads them. */
  async choose(chosen: File[]): Promise<void> {
    const added = chosen.map((file) => new ImportFile(file));
    if (added[0] && this.name === '') this.name = nameOf(added[0].file.name);
    this.files = [...this.files, ...added];
    this.failure = null;
    for (const one of added) {
      if (one.controller.signal.aborted) continue;
      try {
        const upload = await stage(one.file, (sent) => (one.sent = sent), one.controller.signal);
        if (one.controller.signal.aborted) discard(upload.id);
        else one.upload = upload;
      } catch (error) {
        one.failure = toApiError(error);
      }
    }
    await this.inspect();
  }

  /** Removes a file, and its upload. */
  remove(one: ImportFile): void {
    this.files = this.files.filter((other) => other !== one);
    one.controller.abort();
    if (one.upload) discard(one.upload.id);
    if (this.files.length === 0) this.reset();
    else void this.inspect();
  }

  setRole(one: ImportFile, role: FileRole): void {
    one.role = role;
    void this.inspect();
  }

  /** Changes decisions and reads the files again. */
  decide(options: ImportOptions): void {
    this.options = options;
    void this.inspect();
  }

  /** Reads the files. A later call replaces an earlier one, whose answer is dropped. */
  async inspect(): Promise<void> {
    this.inspection?.abort();
    const uploads = this.uploads();
    if (uploads.length < this.files.length || uploads.length === 0) return;
    const controller = (this.inspection = new AbortController());
    this.inspecting = true;
    const watching = this.watch(controller.signal);
    try {
      const body = { uploads, plan: this.options };
      const { signal } = controller;
      const plan = await ask<ImportPlan>('/datasets/inspect', { method: 'POST', body, signal });
      if (signal.aborted) return;
      [this.plan, this.failure] = [plan, null];
    } catch (error) {
      if (controller.signal.aborted) return;
      [this.plan, this.failure] = [null, toApiError(error)];
    } finally {
      clearInterval(watching);
    }
    [this.inspecting, this.rowsRead] = [false, null];
  }

  async import(): Promise<void> {
    this.importing = true;
    this.failure = null;
    const watching = this.watch(null);
    try {
      const body = { name: this.name.trim(), uploads: this.uploads(), plan: this.options };
      this.added = await ask<AddedDataset>('/datasets', { method: 'POST', body });
      // The import deleted them.
      this.files = [];
      touch('dataset');
    } catch (error) {
      this.failure = toApiError(error);
    }
    clearInterval(watching);
    [this.importing, this.rowsRead] = [false, null];
  }

  /** Stops everything and deletes the uploads. */
  discard(): void {
    this.inspection?.abort();
    for (const one of this.files) {
      one.controller.abort();
      if (one.upload) discard(one.upload.id);
    }
    this.reset();
  }

  private reset(): void {
    this.inspection?.abort();
    [this.files, this.options, this.plan, this.failure] = [[], {}, null, null];
    [this.inspecting, this.rowsRead, this.name, this.added] = [false, null, '', null];
  }

  private uploads(): { id: string; role: FileRole }[] {
    return this.files.flatMap((one) => (one.upload ? [{ id: one.upload.id, role: one.role }] : []));
  }

  private watch(signal: AbortSignal | null): ReturnType<typeof setInterval> {
    const first = this.files.find((one) => one.upload)?.upload;
    return setInterval(() => {
      if (!first) return;
      void ask<StagedUpload>(uploadPath(first.id)).then(
        (state) => {
          if (!signal?.aborted && (this.inspecting || this.importing))
            this.rowsRead = state.rows_read ?? null;
        },
        () => undefined,
      );
    }, PROGRESS_INTERVAL);
  }
}
