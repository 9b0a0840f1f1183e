// Scores by class, from a confusion matrix (rows: true class, columns: predicted class).
export interface Score {
  precision: number | null;
  recall: number | null;
  f1: number | null;
  support: number;
}

/** A score is `null` if its denominator is 0: a class that was never predicted has no precision. */
export function scores(confusion: number[][]): Score[] {
  return confusion.map((row, index) => {
    const hits = row[index] ?? 0;
    const support = sum(row);
    const predicted = sum(confusion.map((other) => other[index] ?? 0));
    const precision = predicted === 0 ? null : hits / predicted;
    const recall = support === 0 ? null : hits / support;
    const f1 = predicted + support === 0 ? null : (2 * hits) / (predicted + support);
    return { precision, recall, f1, support };
  });
}

/** Mean over the classes that have the score. */
export function macro(all: Score[], name: 'precision' | 'recall' | 'f1'): number | null {
  const known = all.map((score) => score[name]).filter((value) => value !== null);
  return known.length === 0 ? null : sum(known) / known.length;
}

export function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
