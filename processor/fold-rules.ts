import { IncrementalSource } from '#protocol';
import { spend } from './fold-node.ts';

/**
 * What scripts did to the rules of one style sheet, as short as it can be without knowing how a browser parses.
 *
 * Rules are told by their index at that moment, so an older step means another index than a newer one. `delete` walks
 * back over the steps, each of which shifts the index, until it meets the step that inserted this very rule; both are
 * struck out, and the steps between them are renumbered. Of settings of one property of one rule the first (it decides
 * the order) and the last are kept. A rule that a browser may refuse is a wall: nothing is concluded across it.
 */
interface Step {
  act: 'insert' | 'delete' | 'set' | 'unset';
  /** Index of the rule, after those of the rules around it. */
  at: number[];
  isNested: boolean;
  rule?: string;
  isSure?: boolean;
  property?: unknown;
  value?: unknown;
  priority?: unknown;
}
export interface SheetRef {
  id?: number;
  styleId?: number;
}
type Fields = Record<string, unknown>;

export class RuleLog {
  private readonly steps: Step[] = [];

  get isEmpty(): boolean {
    return !this.steps.length;
  }
  /** Whether it does nothing but insert, each rule at the top. */
  get insertsOnly(): boolean {
    return this.steps.every(({ act, isNested }) => act === 'insert' && !isNested);
  }

  /** As rrweb's StyleSheetRule tells it. Returns how many entries were no rules. */
  change(data: Fields): number {
    let skipped = 0;
    for (const add of listOf(data.adds)) {
      const { rule, index } = fieldsOf(add);
      const at = pathOf(index);
      if (typeof rule === 'string' && at)
        this.steps.push({ act: 'insert', at, isNested: Array.isArray(index), rule, isSure: isSure(rule) });
      else skipped++;
    }
    for (const remove of listOf(data.removes)) {
      const { index } = fieldsOf(remove);
      const at = pathOf(index);
      if (at) this.delete(at, Array.isArray(index));
      else skipped++;
    }
    return skipped;
  }

  /** As rrweb's StyleDeclaration tells it. */
  declare(data: Fields): number {
    const at = Array.isArray(data.index) && data.index.length ? pathOf(data.index, 1) : undefined;
    if (!at) return 1;
    if (isFields(data.set)) this.set({ act: 'set', at, isNested: true, ...pick(data.set) });
    if (isFields(data.remove))
      this.set({ act: 'unset', at: [...at], isNested: true, property: data.remove.property });
    return 0;
  }

  private delete(at: number[], isNested: boolean): void {
    const { steps } = this;
    const path = [...at];
    for (let i = steps.length - 1; i >= 0; i--) {
      spend(1);
      const step = steps[i]!;
      if (isWithin(path, step.at) && !(step.act === 'insert' && step.at.length === path.length)) {
        // Done to the rule that goes, or inside of it. But a deletion in its place was of another one.
        if (step.act !== 'delete' || step.at.length > path.length) {
          steps.splice(i, 1);
          continue;
        }
      }
      const found = back(path, step);
      if (found === 'wall') break;
      if (found === 'made') {
        if (path.length !== step.at.length || !step.isSure) break;
        steps.splice(i, 1);
        return this.renumber(i, path);
      }
    }
    steps.push({ act: 'delete', at, isNested });
  }

  /** Takes a rule that stood at `path` out of the count of the steps from `from` on. */
  private renumber(from: number, path: number[]): void {
    const level = path.length - 1;
    spend(this.steps.length - from);
    for (const { act, at } of this.steps.slice(from)) {
      const mine = path[level]!;
      if (isBeside(at, path)) {
        const its = at[level]!;
        const isSibling = at.length === path.length && (act === 'insert' || act === 'delete');
        if (isSibling && act === 'insert' && its <= mine) path[level] = mine + 1;
        else if (its > mine) at[level] = its - 1;
        else if (isSibling && act === 'delete') path[level] = mine - 1;
      } else if (isBeside(path, at) && at.length < path.length) {
        const up = at.length - 1;
        if (act === 'insert' && at[up]! <= path[up]!) path[up]! += 1;
        else if (act === 'delete' && at[up]! < path[up]!) path[up]! -= 1;
      }
    }
  }

  private set(step: Step): void {
    const { steps } = this;
    const path = [...step.at];
    let newest = -1;
    for (let i = steps.length - 1; i >= 0; i--) {
      spend(1);
      const before = steps[i]!;
      if (before.act === 'set' || before.act === 'unset') {
        if (before.property !== step.property || !isSame(before.at, path)) continue;
        if (step.act === 'unset') steps.splice(i, 1);
        else if (before.act === 'unset') break;
        else if (newest < 0) newest = i;
        else {
          steps.splice(newest, 1);
          break;
        }
      } else if (back(path, before)) break;
    }
    steps.push(step);
  }

  /** The steps as rrweb's events tell them. */
  toEvents(ref: SheetRef): Fields[] {
    const events: Fields[] = [];
    let open: { adds: Fields[]; removes: Fields[] } | undefined;
    for (const { act, at, isNested, rule, property, value, priority } of this.steps) {
      const index = isNested ? at : at[0];
      if (act === 'set' || act === 'unset') {
        open = undefined;
        const what = act === 'set' ? { set: { property, value, priority } } : { remove: { property } };
        events.push({ source: IncrementalSource.styleDeclaration, ...ref, ...what, index: at });
        continue;
      }
      // Of one event the additions come first.
      if (!open || (act === 'insert' && open.removes.length)) {
        open = { adds: [], removes: [] };
        events.push({ source: IncrementalSource.styleSheetRule, ...ref, ...open });
      }
      if (act === 'insert') open.adds.push({ rule, index });
      else open.removes.push({ index });
    }
    return events;
  }
}

/** Moves `path` to where its rule was before the step. */
function back(path: number[], { act, at, isSure: sure }: Step): 'made' | 'wall' | undefined {
  if ((act !== 'insert' && act !== 'delete') || at.length > path.length || !isBeside(path, at))
    return undefined;
  const level = at.length - 1;
  const mine = path[level]!;
  const its = at[level]!;
  if (act === 'delete') {
    if (its <= mine) path[level] = mine + 1;
  } else if (its === mine) return 'made';
  else if (its < mine) {
    if (!sure) return 'wall';
    path[level] = mine - 1;
  }
  return undefined;
}

/** Whether both lie in the same list of rules, as far as the shorter one's goes. */
function isBeside(long: readonly number[], short: readonly number[]): boolean {
  if (long.length < short.length) return false;
  for (let level = short.length - 2; level >= 0; level--) if (long[level] !== short[level]) return false;
  return true;
}
const isSame = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((index, level) => index === b[level]);
/** Whether `at` is the rule, or inside of it. */
const isWithin = (path: readonly number[], at: readonly number[]): boolean =>
  at.length >= path.length && path.every((index, level) => index === at[level]);

/** Pseudo-classes and -elements that every browser of today knows, also with arguments. */
const KNOWN =
  /::?(?:hover|focus|focus-visible|focus-within|active|visited|link|root|empty|target|checked|disabled|enabled|required|optional|(?:first|last|only)-(?:child|of-type)|nth-(?:last-)?(?:child|of-type)\([\w\s+-]+\)|before|after|placeholder|first-line|first-letter|selection)(?![\w(-])/g;
const SELECTOR = /^\s*[.#*\w[][\w\s.#>+~,*[\]="'\\-]*$/;
const GROUP = /^\s*(?:@keyframes|@media|@supports|@font-face|@layer|@container)\b/;

/** Whether it certainly is one rule that a browser takes. */
function isSure(rule: string): boolean {
  const open = rule.indexOf('{');
  if (open < 0 || !rule.trimEnd().endsWith('}') || rule.includes('/*')) return false;
  if (GROUP.test(rule)) return isOneBlock(rule, open);
  return SELECTOR.test(rule.slice(0, open).replace(KNOWN, '')) && isOneBlock(rule, open);
}
function isOneBlock(rule: string, open: number): boolean {
  let depth = 0;
  const end = rule.trimEnd().length - 1;
  for (let i = open; i <= end; i++) {
    const char = rule.charCodeAt(i);
    if (char === 34 || char === 39) {
      i = rule.indexOf(rule[i]!, i + 1);
      if (i < 0) return false;
    } else if (char === 123) depth++;
    else if (char === 125 && --depth === 0) return i === end;
  }
  return false;
}

/** An index, or a way of several; undefined when it is none. What is left out is 0, as browsers take it. */
function pathOf(index: unknown, lengthMin = 2): number[] | undefined {
  if (index === undefined || index === null) return [0];
  const at: unknown[] = Array.isArray(index) ? [...index] : [index];
  if (Array.isArray(index) && at.length < lengthMin) return undefined;
  return at.every((one) => Number.isInteger(one) && (one as number) >= 0) ? (at as number[]) : undefined;
}
const pick = ({ property, value, priority }: Fields): Fields => ({ property, value, priority });
const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
