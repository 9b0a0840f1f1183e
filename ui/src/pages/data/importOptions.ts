// Decisions of an import: what menus and answers to open questions change.
import type { ColumnRole, ImportOptions, ImportPlan, PlannedColumn } from '../../api/types';

/** Roles that a person can give to a column. */
export const ROLES = ['text', 'label', 'key', 'image', 'unused'] as const;
export type Role = (typeof ROLES)[number];

export const ROLE_LABELS: Record<ColumnRole, string> = {
  text: 'Text',
  label: 'Label',
  key: 'Key',
  image: 'Image',
  unused: 'Unused',
  pixel: 'Pixel',
  split: 'Split',
};

/** Whether the menus can change the role. Pixels and splits belong to all their columns together. */
export function isChangeable(role: ColumnRole): role is Role {
  return role !== 'pixel' && role !== 'split';
}

/**
 * Gives a column a role. The roles of the other columns stay as the plan shows them. A column that had a role
 * that only one column can have becomes unused.
 */
export function withRole(
  options: ImportOptions,
  columns: PlannedColumn[],
  changed: string,
  role: Role,
): ImportOptions {
  const roleOf = (column: PlannedColumn): ColumnRole => {
    if (column.name === changed) return role;
    const isTaken = role !== 'text' && role !== 'unused' && column.role === role;
    // Rows are texts or images.
    const isOther =
      (role === 'image' && column.role === 'text') || (role === 'text' && column.role === 'image');
    return isTaken || isOther ? 'unused' : column.role;
  };
  const named = (wanted: ColumnRole) =>
    columns.filter((column) => roleOf(column) === wanted).map((column) => column.name);
  const text = named('text');
  return compact({
    ...options,
    text: text.length > 0 ? text : undefined,
    label: named('label')[0],
    key: named('key')[0],
    image: named('image')[0],
  });
}

/** Sets the option that decides an open question, from the text of its control. Empty text clears it. */
export function withAnswer(options: ImportOptions, option: string, text: string): ImportOptions {
  const value = text.trim();
  if (value === '') return compact({ ...options, [option]: undefined });
  switch (option) {
    case 'text':
    case 'missing':
      return { ...options, [option]: value.split(',').map((one) => one.trim()) };
    case 'header':
    case 'merge_classes':
      return { ...options, [option]: !/^(false|no|--no.*)$/.test(value) };
    case 'limit':
    case 'class_level':
      return compact({ ...options, [option]: Number(value) || undefined });
    case 'resize': {
      const size = /^(\d+)\s*[x×]\s*(\d+)$/.exec(value);
      const resize = size ? { width: Number(size[1]), height: Number(size[2]) } : undefined;
      return compact({ ...options, resize });
    }
    case 'splits': {
      const [, split, name] = /^(\w+)=(.*)$/.exec(value) ?? [];
      if (split === undefined || name === undefined)
        return { ...options, test_split: value } as ImportOptions;
      return { ...options, splits: { ...options.splits, [name]: split } } as ImportOptions;
    }
    default:
      return { ...options, [option]: value };
  }
}

/** Text of an option for its control. */
export function answerOf(options: ImportOptions, option: string): string {
  const value = options[option as keyof ImportOptions];
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.join(', ');
  if (option === 'resize' && options.resize) {
    return `${options.resize.width}x${options.resize.height}`;
  }
  if (option === 'splits') {
    return Object.entries(options.splits ?? {})
      .map(([name, split]) => `${split}=${name}`)
      .join(', ');
  }
  return String(value);
}

/** Name of a separator, for its menu. */
export function separatorName(separator: string | null | undefined): string {
  const names: Record<string, string> = {
    ',': 'comma',
    ';': 'semicolon',
    '\t': 'tab',
    '|': 'pipe',
    ' ': 'space',
  };
  return separator ? (names[separator] ?? separator) : 'none';
}

/** Whether a plan can be imported. */
export function isDecided(plan: ImportPlan | null): boolean {
  return plan !== null && plan.questions.length === 0;
}

/** Removes undefined members, so that equal decisions are equal JSON. */
function compact(options: ImportOptions): ImportOptions {
  const kept = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(kept) as ImportOptions;
}
