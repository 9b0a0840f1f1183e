// Text of the job file while it is edited: the second view of the draft.
import { type Draft, toSpec } from './draft';
import { fromToml, toToml } from './toml';

export class JobFile {
  text = $state('');
  /** Why the text can't be read. While it is set, the text and the draft are different jobs. */
  error = $state<string | null>(null);
  /** The draft that the text gives. */
  private draft = '';

  /** Writes the draft as text, unless the text gives this draft already or can't be read. */
  show(draft: Draft): void {
    if (this.error === null && this.draft !== serialized(draft)) this.replace(draft);
  }

  /** Discards the text in favor of the draft. */
  replace(draft: Draft): void {
    this.text = toToml(toSpec(draft));
    this.error = null;
    this.draft = serialized(draft);
  }

  /** Reads changed text. Returns its draft, or `null` if it can't be read. */
  edit(text: string): Draft | null {
    this.text = text;
    const parsed = fromToml(text);
    this.error = 'error' in parsed ? parsed.error : null;
    if ('error' in parsed) return null;
    this.draft = serialized(parsed.draft);
    return parsed.draft;
  }
}

function serialized(draft: Draft): string {
  return JSON.stringify(toSpec(draft));
}
