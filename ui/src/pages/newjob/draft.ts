// Draft of a job: every field has a value. Converted from and to the job specification of the API.
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
import { type ParameterValues, type StrategyName, withDefaults } from './strategies';

type Schemas = components['schemas'];

export interface Draft {
  name: string;
  model_type: ModelType;
  dataset: string;
  seed: number;
  model: { preset: Preset | null; input: Schemas['InputSpec'] | null; layers: LayerSpec[] | null };
  data: { partitions: number; partitioner: Partitioner; train_limit: number };
  /** `null` means the default of the model type. */
  plan: {
    local_epochs: number | null;
    local_steps: number | null;
    batch_size: number | null;
    optimizer: Optimizer | null;
    threads: number | null;
  };
  strategy: { name: StrategyName; fraction: number } & ParameterValues;
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
    text_bag: 'text_bag: bag of words and word pairs, fast',
    text_cnn: 'text_cnn: convolutions over words (Kim 2014)',
  },
  vision: {
    cnn: 'cnn: two convolutions and a linear layer',
    mlp: 'mlp: linear layers only',
  },
};

/** A job specification without its defaults. Older API documents have no labels. */
type PartialSpec = {
  [Key in keyof Omit<JobSpec, 'run'>]?: Partial<JobSpec[Key]>;
} & { run?: Partial<NonNullable<JobSpec['run']>> & { labels?: string[] } };

/** Completes a specification with the defaults of the API. */
export function complete(spec: PartialSpec): Draft {
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
      ...withDefaults(strategy ?? {}),
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

/** The body of `POST /jobs`: only the values that differ from the defaults. */
export function toSpec(draft: Draft): JobSpec {
  const defaults = complete({});
  const changed = (Object.keys(draft) as (keyof Draft)[])
    .filter((key) => key !== 'name' && key !== 'model_type' && key !== 'dataset')
    .flatMap((key) => {
      const rest = withoutDefaults(draft[key], defaults[key]);
      return rest === undefined ? [] : [[key, rest] as const];
    });
  const { name, model_type, dataset } = draft;
  return { name, model_type, dataset, ...Object.fromEntries(changed) } as JobSpec;
}

/** The values of a table that differ from their defaults; `undefined` if there are none. */
function withoutDefaults(value: unknown, defaultValue: unknown): unknown {
  if (typeof value !== 'object' || value === null)
    return value === defaultValue ? undefined : value;
  const defaults = defaultValue as Record<string, unknown>;
  const rest = Object.entries(value).filter(
    ([key, one]) => one != null && JSON.stringify(one) !== JSON.stringify(defaults[key]),
  );
  return rest.length === 0 ? undefined : Object.fromEntries(rest);
}

export function modelTypeOf(sample: SampleShape): ModelType {
  return sample.kind === 'text' ? 'nlp' : 'vision';
}

/** Default optimizer of a model type, as the coordinator applies it. */
export function defaultOptimizer(modelType: ModelType): Optimizer {
  return modelType === 'nlp'
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

/** Name of a dataset without its version: `reviews` of `reviews@2`. */
export function datasetName(dataset: string): string {
  return dataset.replace(/@[1-9]\d*$/, '');
}
