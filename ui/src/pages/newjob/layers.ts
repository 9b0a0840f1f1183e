// Layer kinds with their parameters, for the layer editor.
import type { LayerSpec, ModelType } from '../../api/types';

export interface LayerField {
  name: string;
  label: string;
  defaultValue: number | number[] | string;
  /** A fraction between 0 and 1, a list of numbers, or one of these choices. Default: a whole number. */
  format?: 'fraction' | 'list' | string[];
}

export const LAYERS: Record<LayerSpec['kind'], LayerField[]> = {
  embedding_bag: [
    { name: 'dimension', label: 'Dimension', defaultValue: 16 },
    { name: 'combine', label: 'Combine', defaultValue: 'mean', format: ['mean', 'sqrtn'] },
  ],
  embedding: [{ name: 'dimension', label: 'Dimension', defaultValue: 32 }],
  conv_max_pool: [
    { name: 'channels', label: 'Channels', defaultValue: 64 },
    { name: 'widths', label: 'Widths', defaultValue: [3, 4, 5], format: 'list' },
  ],
  conv2d: [
    { name: 'channels', label: 'Channels', defaultValue: 16 },
    { name: 'kernel', label: 'Kernel', defaultValue: 3 },
    { name: 'stride', label: 'Stride', defaultValue: 1 },
    { name: 'padding', label: 'Padding', defaultValue: 1 },
  ],
  max_pool2d: [
    { name: 'kernel', label: 'Kernel', defaultValue: 2 },
    { name: 'stride', label: 'Stride', defaultValue: 2 },
  ],
  global_average_pool: [],
  flatten: [],
  linear: [{ name: 'outputs', label: 'Outputs', defaultValue: 64 }],
  layer_norm: [],
  relu: [],
  tanh: [],
  gelu: [],
  dropout: [{ name: 'probability', label: 'Probability', defaultValue: 0.2, format: 'fraction' }],
};

/** Layer kinds that only one model type can use. */
const MODEL_TYPE: Partial<Record<LayerSpec['kind'], ModelType>> = {
  embedding_bag: 'nlp',
  embedding: 'nlp',
  conv_max_pool: 'nlp',
  conv2d: 'vision',
  max_pool2d: 'vision',
  global_average_pool: 'vision',
};

export function kindsFor(modelType: ModelType): LayerSpec['kind'][] {
  const kinds = Object.keys(LAYERS) as LayerSpec['kind'][];
  return kinds.filter((kind) => MODEL_TYPE[kind] === undefined || MODEL_TYPE[kind] === modelType);
}

export function layerOf(kind: LayerSpec['kind']): LayerSpec {
  const fields = LAYERS[kind].map(({ name, defaultValue }) => [
    name,
    Array.isArray(defaultValue) ? [...defaultValue] : defaultValue,
  ]);
  return { kind, ...Object.fromEntries(fields) } as LayerSpec;
}

/** A small working model to start editing from. */
export function starterLayers(modelType: ModelType, classes: number): LayerSpec[] {
  const last = { ...layerOf('linear'), outputs: classes } as LayerSpec;
  if (modelType === 'nlp') return [layerOf('embedding_bag'), last];
  return [layerOf('conv2d'), layerOf('relu'), layerOf('max_pool2d'), layerOf('flatten'), last];
}
