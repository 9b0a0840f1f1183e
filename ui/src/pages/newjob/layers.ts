// The kinds of layers with their fields, for the editor of an own model.
import type { LayerSpec, ModelType } from '../../api/types';

export interface LayerField {
  name: string;
  words: string;
  usual: number | number[] | string;
  /** A share between 0 and 1, a list of numbers, or one of these words. */
  as?: 'share' | 'list' | string[];
}

export const LAYERS: Record<LayerSpec['kind'], LayerField[]> = {
  embedding_bag: [
    { name: 'dimension', words: 'Dimension', usual: 16 },
    { name: 'combine', words: 'Combine', usual: 'mean', as: ['mean', 'sqrtn'] },
  ],
  embedding: [{ name: 'dimension', words: 'Dimension', usual: 32 }],
  conv_max_pool: [
    { name: 'channels', words: 'Channels', usual: 64 },
    { name: 'widths', words: 'Widths', usual: [3, 4, 5], as: 'list' },
  ],
  conv2d: [
    { name: 'channels', words: 'Channels', usual: 16 },
    { name: 'kernel', words: 'Kernel', usual: 3 },
    { name: 'stride', words: 'Stride', usual: 1 },
    { name: 'padding', words: 'Padding', usual: 1 },
  ],
  max_pool2d: [
    { name: 'kernel', words: 'Kernel', usual: 2 },
    { name: 'stride', words: 'Stride', usual: 2 },
  ],
  global_average_pool: [],
  flatten: [],
  linear: [{ name: 'outputs', words: 'Outputs', usual: 64 }],
  layer_norm: [],
  relu: [],
  tanh: [],
  gelu: [],
  dropout: [{ name: 'probability', words: 'Probability', usual: 0.2, as: 'share' }],
};

/** Layers that only make sense on rows of the other family. */
const FAMILY: Partial<Record<LayerSpec['kind'], ModelType>> = {
  embedding_bag: 'nlp',
  embedding: 'nlp',
  conv_max_pool: 'nlp',
  conv2d: 'vision',
  max_pool2d: 'vision',
  global_average_pool: 'vision',
};

export function kindsFor(family: ModelType): LayerSpec['kind'][] {
  const kinds = Object.keys(LAYERS) as LayerSpec['kind'][];
  return kinds.filter((kind) => FAMILY[kind] === undefined || FAMILY[kind] === family);
}

export function layerOf(kind: LayerSpec['kind']): LayerSpec {
  const fields = LAYERS[kind].map(({ name, usual }) => [
    name,
    Array.isArray(usual) ? [...usual] : usual,
  ]);
  return { kind, ...Object.fromEntries(fields) } as LayerSpec;
}

/** Something small that works, to begin an own model with. */
export function firstLayers(family: ModelType, classes: number): LayerSpec[] {
  const last = { ...layerOf('linear'), outputs: classes } as LayerSpec;
  if (family === 'nlp') return [layerOf('embedding_bag'), last];
  return [layerOf('conv2d'), layerOf('relu'), layerOf('max_pool2d'), layerOf('flatten'), last];
}
