// A job as the form holds it: every field there, and back to what the API takes.
import type { components } from '../../api/schema';
import type {
  JobSpec,
  LayerSpec,
  ModelType,
  Optimizer,
  Partitioner,
  Preset,
  SampleShape,
} from '../../api/types';
import { type OwnValues, ownValues, type StrategyName } from './strategies';

type Schemas = components['schemas'];

export interface Draft {
  name: string;
  model_type: ModelType;
  dataset: string;
  seed: number;
  model: { preset: Preset | null; input: Schemas['InputSpec'] | null; layers: LayerSpec[] | null };
  data: { partitions: number; partitioner: Partitioner; train_limit: number };
  /** What is `null` takes the model family's default. */
  plan: {
    local_epochs: number | null;
    local_steps: number | null;
    batch_size: number | null;
    optimizer: Optimizer | null;
    threads: number | null;
  };
  strategy: { name: StrategyName; fraction: number } & OwnValues;
  run: {
    rounds: number | null;
    target_accuracy: number;
    minimum_fraction: number;
    round_deadline: string;
    reproducible: boolean | null;
    priority: number;
    labels: string[];
  };
}

export const PRESETS: Record<ModelType, Partial<Record<Preset, string>>> = {
  nlp: {
    text_bag: 'text_bag: words and pairs of words in a bag, fast',
    text_cnn: 'text_cnn: convolutions over the words (Kim 2014)',
  },
  vision: {
    cnn: 'cnn: two convolutions and a linear layer',
    mlp: 'mlp: linear layers alone',
  },
};

/** As much of a job as is said; labels are newer than the document. */
type Said = {
  [Key in keyof Omit<JobSpec, 'run'>]?: Partial<JobSpec[Key]>;
} & { run?: Partial<NonNullable<JobSpec['run']>> & { labels?: string[] } };

/** What the API takes for what isn't said, as its document has it. */
export function complete(spec: Said): Draft {
  const { model, data, plan, strategy, run } = spec;
  return {
    name: spec.name ?? '',
    model_type: spec.model_type ?? 'nlp',
    dataset: spec.dataset ?? '',
    seed: spec.seed ?? 42,
    model: {
      preset: model?.preset ?? null,
      input: model?.input ?? null,
      layers: (model?.layers as LayerSpec[] | null | undefined) ?? null,
    },
    data: {
      partitions: data?.partitions ?? 12,
      partitioner: data?.partitioner ?? { kind: 'iid' },
      train_limit: data?.train_limit ?? 0,
    },
    plan: {
      local_epochs: plan?.local_epochs ?? null,
      local_steps: plan?.local_steps ?? null,
      batch_size: plan?.batch_size ?? null,
      optimizer: plan?.optimizer ?? null,
      threads: plan?.threads ?? null,
    },
    strategy: {
      ...strategy,
      name: strategy?.name ?? 'fedavg',
      fraction: strategy?.fraction ?? 1,
      ...ownValues(strategy ?? {}),
    },
    run: {
      rounds: run?.rounds ?? null,
      target_accuracy: run?.target_accuracy ?? 0,
      minimum_fraction: run?.minimum_fraction ?? 1,
      round_deadline: run?.round_deadline ?? '',
      reproducible: run?.reproducible ?? null,
      priority: run?.priority ?? 0,
      labels: run?.labels ?? [],
    },
  };
}

/** The body of `POST /jobs`: what differs from the defaults, and nothing that is empty. */
export function toSpec(draft: Draft): JobSpec {
  const defaults = complete({});
  const differing = (Object.keys(draft) as (keyof Draft)[])
    .filter((key) => key !== 'name' && key !== 'model_type' && key !== 'dataset')
    .flatMap((key) => {
      const left = without(draft[key], defaults[key]);
      return left === undefined ? [] : [[key, left] as const];
    });
  const { name, model_type, dataset } = draft;
  return { name, model_type, dataset, ...Object.fromEntries(differing) } as JobSpec;
}

/** A table's fields that say something; `undefined` where none does. */
function without(value: unknown, usual: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value === usual ? undefined : value;
  const usualOnes = usual as Record<string, unknown>;
  const left = Object.entries(value).filter(
    ([key, one]) => one != null && JSON.stringify(one) !== JSON.stringify(usualOnes[key]),
  );
  return left.length === 0 ? undefined : Object.fromEntries(left);
}

export function familyOf(sample: SampleShape): ModelType {
  return sample.kind === 'text' ? 'nlp' : 'vision';
}

/** A family's default optimizer, to begin an own one with. */
export function usualOptimizer(family: ModelType): Optimizer {
  return family === 'nlp'
    ? { kind: 'adamw', learning_rate: 0.02, weight_decay: 0.1 }
    : { kind: 'adam', learning_rate: 0.001 };
}

export function optimizerOf(kind: Optimizer['kind'], learningRate: number): Optimizer {
  if (kind === 'sgd') return { kind, learning_rate: learningRate, momentum: 0, weight_decay: 0 };
  if (kind === 'adam') return { kind, learning_rate: learningRate };
  return { kind, learning_rate: learningRate, weight_decay: 0.01 };
}

export function partitionerOf(kind: Partitioner['kind']): Partitioner {
  if (kind === 'iid') return { kind };
  return kind === 'shards' ? { kind, per_partition: 2 } : { kind, alpha: 0.5 };
}
