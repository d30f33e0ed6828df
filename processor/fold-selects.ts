import { below, numberOf, type FoldNode } from './fold-node.ts';

/**
 * Which option of a select is chosen, as browsers choose. It depends on the order in which options came and went, so a
 * page that is built anew may choose another. Lists of many choices are left out: rrweb tells no more than one.
 */

/** An option, or what holds options, was put into its parent. */
export function optionsInserted(node: FoldNode): void {
  const select = selectOf(node);
  if (!select) return;
  for (const option of optionsIn(node))
    if (isSet(option.attributes.selected)) choose(select, option);
    else if (!select.extra?.chosen) choose(select, defaultOf(select, false));
}

/** An option, or what holds options, was taken out of `parent`. */
export function optionsRemoved(node: FoldNode, parent: FoldNode): void {
  const select = selectOf(parent);
  const chosen = select?.extra?.chosen;
  if (select && !(chosen && !node.contains(chosen))) choose(select, defaultOf(select, false));
}

/** Its attribute `selected` has come, or gone. What a value was chosen by no longer heeds it. */
export function optionMarked(option: FoldNode): void {
  const select = selectOf(option);
  if (!select || option.extra?.isDirty) return;
  if (isSet(option.attributes.selected)) choose(select, option);
  else if (select.extra?.chosen === option) choose(select, defaultOf(select, false));
}

/** The value that was told of it counts. */
export function optionPicked(select: FoldNode, value: unknown): void {
  const option = optionsIn(select).find((one) => valueOf(one) === value);
  if (option) option.extras().isDirty = true;
  choose(select, option);
}

/** The value to set after it was built, so that the same option is chosen; undefined when none needs to be set. */
export function valueToPick(select: FoldNode): unknown {
  const { chosen, field } = select.extra ?? {};
  if (!selectOf(select)) return field?.text;
  if (!field && chosen === defaultOf(select, true)) return undefined;
  return chosen ? valueOf(chosen) : (field?.text ?? '');
}

function choose(select: FoldNode, option: FoldNode | undefined): void {
  select.extras().chosen = option;
}

/** The last one that is marked, where marks count anew; else the first that is not disabled. */
function defaultOf(select: FoldNode, byMarks: boolean): FoldNode | undefined {
  const options = optionsIn(select);
  const marked = byMarks ? options.findLast(({ attributes }) => isSet(attributes.selected)) : undefined;
  return marked ?? options.find((option) => !isSet(option.attributes.disabled));
}

function selectOf(node: FoldNode): FoldNode | undefined {
  let at: FoldNode | null = node;
  while (at && at.tag !== 'select') at = at.tag === 'option' || at.tag === 'optgroup' ? at.parent : null;
  return at && !isSet(at.attributes.multiple) && !(numberOf(at.attributes.size) > 1) ? at : undefined;
}

const optionsIn = (node: FoldNode): FoldNode[] =>
  node.tag === 'option' ? [node] : Array.from(below(node)).filter(({ tag }) => tag === 'option');

function valueOf(option: FoldNode): unknown {
  const { value } = option.attributes;
  if (typeof value === 'string') return value;
  const text = Array.from(below(option), (node) => node.text).join('');
  return text.replace(/[\t\n\f\r ]+/g, ' ').trim();
}
const isSet = (attribute: unknown): boolean =>
  attribute !== undefined && attribute !== null && attribute !== false;
