import { describe, expect, test } from 'vitest';

import { complete } from './draft';
import { JobFile } from './jobFile.svelte';

const draft = complete({ name: 'a', dataset: 'synthetic', run: { rounds: 7 } });

describe('the text of a job file', () => {
  test('survives with its comments while the draft is the one it gives', () => {
    const file = new JobFile();
    const text = '# mine\nname = "a"\nmodel_type = "nlp"\ndataset = "synthetic"\n';
    const read = file.edit(text);
    if (read === null) throw new Error(file.error ?? '');
    file.show(read);
    expect(file.text).toBe(text);
    file.show({ ...read, name: 'b' });
    expect(file.text).toContain('name = "b"');
    expect(file.text).not.toContain('# mine');
  });

  test('that cannot be read stays until it is corrected or discarded', () => {
    const file = new JobFile();
    file.replace(draft);
    expect(file.edit('name = ')).toBeNull();
    expect(file.error).toMatch(/^Line 1/);
    file.show(draft);
    expect(file.text).toBe('name = ');
    file.replace(draft);
    expect(file.error).toBeNull();
    expect(file.text).toContain('rounds = 7');
  });
});
