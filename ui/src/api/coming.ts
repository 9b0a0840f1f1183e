// Parts of the API that are newer than openapi.json beside package.json. Each leaves for types.ts when
// the document has it; pages show nothing of them where a coordinator answers 404.
import type { components } from './schema';
import type { JobSpec, ModelSpec } from './types';

type Schemas = components['schemas'];

export type Device = Schemas['Device'] & {
  labels?: string[];
  version?: string | null;
  examples_per_second?: number | null;
  contribution?: { examples: number; seconds: number; leases: number; seconds_today: number };
};

export type Model = Schemas['Model'] & { stage?: string | null };

export interface JobCheck {
  config: JobSpec;
  spec: ModelSpec;
  parameters: number;
  layers: { kind: string; shape: number[]; parameters: number }[];
}

export type DatasetDetail = Schemas['DatasetEntry'] & {
  train_class_counts: number[] | null;
  test_class_counts: number[] | null;
  here: boolean;
};

export interface DatasetRow {
  label: number;
  text: string | null;
  image: string | null;
}

export interface Partitions {
  classes: string[];
  partitions: { rows: number; class_counts: number[] }[];
}

export interface LeaseView {
  id: string;
  device: string;
  device_name: string;
  round: number;
  partition: number;
  granted_at: string;
  ended_at: string | null;
  outcome: 'open' | 'reported' | 'returned' | 'lapsed' | 'refused' | 'ended';
  reason: string | null;
  steps: number;
  examples: number;
}

export interface LogLine {
  at: string;
  kind: string;
  text: string;
}

export interface Usage {
  examples_per_second: number;
  today: {
    gpu_seconds: number;
    cpu_seconds: number;
    examples: number;
    leases: number;
    kilowatt_hours: number;
  };
  days: { date: string; seconds: number; examples: number }[];
}

export interface Setting {
  key: string;
  value: unknown;
  origin: 'default' | 'user' | 'environment' | 'managed';
  about: string;
}

export interface Prediction {
  classes: { name: string; probability: number }[];
  seconds: number;
}

/** A signed-in browser. The document's `Session` is a worker's: two schemas have that name. */
export interface PersonSession {
  id: string;
  role: Schemas['Role'];
  name: string;
  from: string | null;
  created_at: string;
  last_used: string;
  expires_at: string;
}
