// Scores by class, from a confusion matrix whose rows are what is true and columns what was said.
export interface Score {
  precision: number | null;
  recall: number | null;
  f1: number | null;
  support: number;
}

/** `null` where there is nothing to divide by: a class that was never said has no precision. */
export function scores(confusion: number[][]): Score[] {
  return confusion.map((row, index) => {
    const hits = row[index] ?? 0;
    const support = sum(row);
    const said = sum(confusion.map((other) => other[index] ?? 0));
    const precision = said === 0 ? null : hits / said;
    const recall = support === 0 ? null : hits / support;
    const f1 = said + support === 0 ? null : (2 * hits) / (said + support);
    return { precision, recall, f1, support };
  });
}

/** The mean over the classes that have the score. */
export function macro(all: Score[], of: 'precision' | 'recall' | 'f1'): number | null {
  const known = all.map((score) => score[of]).filter((value) => value !== null);
  return known.length === 0 ? null : sum(known) / known.length;
}

export function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
