import { EventType, IncrementalSource } from '#protocol';
import type { AssetRef } from '#api';
import { assetPath, type Client } from './client.ts';
import type { ReplayEvent } from './sanitize.ts';

/** What cannot be had in this time is left out, and there when the moment is shown again. */
const FILL_MS_MAX = 2000;
/** A style sheet may name fonts and images, and is known only once it is here. */
const ROUNDS_MAX = 3;
/** The oldest go first; what still shows them has them. */
const HELD_BYTES_MAX = 64 * 1024 * 1024;

/** What stands for an address: an object URL; of a style sheet also its text. */
interface Held {
  url: string;
  css?: string;
  bytes: number;
}
/** @returns undefined for what is not kept, or not here yet */
export type Find = (url: string, ts: number, id?: number) => Held | undefined;

export interface Assets {
  /** Puts what is kept of the recorded pages into the events, in place of addresses that nothing is fetched from. */
  fill(events: ReplayEvent[]): Promise<void>;
  dispose(): void;
}

export function createAssets(client: Client, session: string, refs: readonly AssetRef[]): Assets {
  const byUrl = new Map<string, AssetRef[]>();
  for (const ref of refs) byUrl.set(keyOf(ref.url), [...(byUrl.get(keyOf(ref.url)) ?? []), ref]);
  const held = new Map<string, Held | undefined>();
  let wanted = new Map<string, AssetRef>();
  let heldBytes = 0;
  let isDisposed = false;

  const find: Find = (url, ts, id) => {
    const ref = choose(byUrl.get(keyOf(url)), ts, id);
    if (!ref) return undefined;
    if (!held.has(ref.name)) wanted.set(ref.name, ref);
    return held.get(ref.name);
  };
  const fetchOne = async ({ name, url, ts }: AssetRef): Promise<void> => {
    const response = await client.send(assetPath(session, name));
    const blob = await response.blob();
    if (isDisposed) return;
    const css = blob.type.startsWith('text/css') ? absolute(await blob.text(), url) : undefined;
    held.set(name, { url: URL.createObjectURL(blob), css, bytes: blob.size });
    heldBytes += blob.size;
    // So that they are asked for in the next round.
    if (css) replaceUrls(css, ts, find);
    for (const [oldest, one] of held) {
      if (heldBytes <= HELD_BYTES_MAX || oldest === name) break;
      forget(oldest, one);
    }
  };
  const forget = (name: string, one: Held | undefined): void => {
    held.delete(name);
    if (!one) return;
    heldBytes -= one.bytes;
    URL.revokeObjectURL(one.url);
  };
  const load = async (): Promise<void> => {
    for (let round = 0; wanted.size && round < ROUNDS_MAX; round++) {
      const refsNow = [...wanted.values()];
      wanted = new Map();
      // What is not there is not asked for again; a replay without it is still a replay.
      await Promise.all(refsNow.map((ref) => fetchOne(ref).catch(() => held.set(ref.name, undefined))));
    }
  };
  return {
    async fill(events) {
      if (!byUrl.size) return;
      for (const event of events) putAssets(event, find);
      if (!wanted.size) return;
      await Promise.race([load(), new Promise((resolve) => setTimeout(resolve, FILL_MS_MAX))]);
      for (const event of events) putAssets(event, find);
    },
    dispose() {
      isDisposed = true;
      for (const [name, one] of held) forget(name, one);
    },
  };
}

/** Values are not recorded, so they do not tell addresses apart. */
const keyOf = (url: string): string => (url.startsWith('blob:') ? url : url.split(/[?#]/, 1)[0]!);

/** Of several contents of one address: that of this element, then that found nearest in time. */
function choose(refs: readonly AssetRef[] = [], ts: number, id = -1): AssetRef | undefined {
  const own = refs.filter(({ ids }) => ids?.includes(id));
  return (own.length ? own : refs).reduce<AssetRef | undefined>(
    (best, ref) => (best && Math.abs(best.ts - ts) <= Math.abs(ref.ts - ts) ? best : ref),
    undefined,
  );
}

interface SnapshotNode {
  id?: number;
  type: number;
  tagName?: string;
  textContent?: string;
  attributes?: Record<string, unknown>;
  childNodes?: SnapshotNode[];
}

/** In place. Doing it again changes nothing more but what `find` has learnt since. */
export function putAssets({ type, timestamp, data }: ReplayEvent, find: Find): void {
  const own = data as {
    node: SnapshotNode;
    source: number;
    adds?: { node?: SnapshotNode; rule?: string }[];
    attributes?: { id: number; attributes: Record<string, unknown> }[];
    styles?: { rules?: { rule: string }[] }[];
    set?: { value?: unknown };
  };
  if (type === EventType.fullSnapshot) return putIntoNode(own.node, timestamp, find);
  if (type !== EventType.incrementalSnapshot) return;
  const css = (text: string): string => replaceUrls(text, timestamp, find);
  switch (own.source) {
    case IncrementalSource.mutation:
      for (const { node } of own.adds ?? []) if (node) putIntoNode(node, timestamp, find);
      for (const { id, attributes } of own.attributes ?? [])
        putIntoAttributes(attributes, timestamp, find, id);
      return;
    case IncrementalSource.styleSheetRule:
      for (const add of own.adds ?? []) if (typeof add.rule === 'string') add.rule = css(add.rule);
      return;
    case IncrementalSource.adoptedStyleSheet:
      for (const { rules } of own.styles ?? []) for (const one of rules ?? []) one.rule = css(one.rule);
      return;
    case IncrementalSource.styleDeclaration:
      if (typeof own.set?.value === 'string') own.set.value = css(own.set.value);
  }
}

function putIntoNode(root: SnapshotNode, ts: number, find: Find): void {
  const stack = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    const { tagName, attributes, childNodes = [] } = node;
    if (attributes) putIntoAttributes(attributes, ts, find, node.id, tagName);
    if (tagName === 'picture') putIntoPicture(childNodes, ts, find);
    for (const child of childNodes) {
      if (tagName === 'style' && typeof child.textContent === 'string')
        child.textContent = replaceUrls(child.textContent, ts, find);
      stack.push(child);
    }
  }
}

/** One picture is kept of all that an element offers: the one that was shown. */
function putIntoPicture(children: readonly SnapshotNode[], ts: number, find: Find): void {
  const img = children.find(({ tagName }) => tagName === 'img');
  const sources = children.filter(({ tagName }) => tagName === 'source');
  const offered = sources.flatMap(({ attributes }) => candidates(attributes?.srcset));
  const found = first(offered, ts, find, img?.id);
  if (!img?.attributes || (!found && !String(img.attributes.src).startsWith('blob:'))) return;
  if (found) img.attributes.src = found.url;
  for (const node of [img, ...sources]) delete node.attributes?.srcset;
}

function putIntoAttributes(
  attributes: Record<string, unknown>,
  ts: number,
  find: Find,
  id?: number,
  tagName?: string,
): void {
  const { src, srcset, _cssText: cssText, style } = attributes;
  const shown = first([...(typeof src === 'string' ? [src] : []), ...candidates(srcset)], ts, find, id);
  if (shown) {
    attributes.src = shown.url;
    delete attributes.srcset;
  }
  for (const name of ['poster', ...(tagName === 'image' ? ['href', 'xlink:href'] : [])]) {
    const found = typeof attributes[name] === 'string' && find(attributes[name], ts, id);
    if (found) attributes[name] = found.url;
  }
  if (typeof cssText === 'string') attributes._cssText = replaceUrls(cssText, ts, find);
  else if (tagName === 'link' && typeof attributes.href === 'string') {
    const sheet = find(attributes.href, ts)?.css;
    if (sheet) attributes._cssText = replaceUrls(sheet, ts, find);
  }
  if (typeof style === 'string') attributes.style = replaceUrls(style, ts, find);
  else if (style && typeof style === 'object') {
    const values = style as Record<string, unknown>;
    for (const [name, value] of Object.entries(values))
      if (typeof value === 'string') values[name] = replaceUrls(value, ts, find);
  }
}

const candidates = (srcset: unknown): string[] =>
  typeof srcset === 'string'
    ? Array.from(srcset.matchAll(/([^\s,]\S*[^\s,])(\s[^,]*)?(,|$)/g), ([, url]) => url!)
    : [];

function first(urls: readonly string[], ts: number, find: Find, id?: number): Held | undefined {
  for (const url of urls) {
    const found = find(url, ts, id);
    if (found) return found;
  }
  return undefined;
}

const CSS_URL = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')]*))\s*\)/g;

function replaceUrls(css: string, ts: number, find: Find): string {
  if (!css.includes('url(')) return css;
  return css.replace(CSS_URL, (whole, a?: string, b?: string, c?: string) => {
    const found = find(a ?? b ?? c!.trim(), ts);
    return found ? `url("${found.url}")` : whole;
  });
}

/** Addresses in a style sheet count from where it stood. */
const absolute = (css: string, base: string): string =>
  css.replace(CSS_URL, (whole, a?: string, b?: string, c?: string) => {
    const url = a ?? b ?? c!.trim();
    return !url.startsWith('data:') && URL.canParse(url, base) ? `url("${new URL(url, base).href}")` : whole;
  });
