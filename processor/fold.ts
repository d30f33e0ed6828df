import { EventType, IncrementalSource } from '#protocol';
import { Mutations } from './fold-mutations.ts';
import { effort, isFields, numberOf, textOf, TooMuchEffort, type FoldNode } from './fold-node.ts';
import { RuleLog } from './fold-rules.ts';
import { Sheets } from './fold-sheets.ts';
import { optionPicked } from './fold-selects.ts';
import { inOrder, writePage } from './fold-snapshot.ts';
import { keepsValue, drawnAfter, isMedia, mediaAfter } from './fold-states.ts';
import { dropScroll, FoldTree } from './fold-tree.ts';

/**
 * Folds the events of one page load into the state of its page, as plain data: no DOM is needed, and the memory is that of the
 * page, not of the events. What rrweb's Replayer would show after all of them it shows after the checkpoint:
 *
 *   events    M F a b c d e f g h i j …        M meta   F full snapshot
 *             └────────┬────────┘
 *                    fold
 *                      │
 *   checkpoint         M′ F′ t t t j …         F′ the page as it is now   t the tail: what no snapshot says
 *
 * The tail, in its order: documents of frames, custom elements, fonts, attributes and inline styles that building an
 * element would treat otherwise, rules changed by scripts, adopted sheets, media, canvases, values of fields, scroll positions,
 * selection, mouse.
 *
 * What happens to an event is what rrweb does with it, also where it names what is not there: that part is left out and
 * counted. Two things differ on purpose. What was in a shadow root or frame that went is forgotten; rrweb still knows its
 * ids, and would take such a node back as it was, were it told again. And of what a browser would parse only what is
 * certain is drawn together (see `fold-rules.ts`).
 */
export interface FoldEvent {
  type: number;
  /** Epoch milliseconds. */
  ts: number;
  data: unknown;
  /** Of its payload. */
  chars?: number;
}
export interface Checkpoint {
  meta: { href: string; width: number; height: number };
  /** As in a full snapshot. */
  node: object;
  initialOffset: { left: number; top: number };
  /** Events without a time: all of the moment of the checkpoint. */
  tail: { type: number; data: object }[];
}
type Fields = Record<string, unknown>;

/** Fonts that scripts made; they are kept over full snapshots. */
const FONTS_MAX = 200;
/**
 * What a page may cost since its full snapshot, in steps of some 40 ns, and how much more for each character of its
 * events. A page that moves thousands of nodes every second comes to it after hours; one made to keep us busy, soon.
 */
const STEPS_MAX = 20_000_000;
const STEPS_A_CHAR = 4;
const CHARS_UNTOLD = 1000;

export class Fold {
  private readonly tree = new FoldTree();
  private readonly mutations = new Mutations(this.tree);
  private sheets = new Sheets();
  private meta = { href: '', width: 0, height: 0 };
  private offset = { left: 0, top: 0 };
  private readonly fonts = new Map<string, Fields>();
  private readonly defined = new Set<string>();
  private selection: Fields | undefined;
  private mouse: { x: unknown; y: unknown; id: unknown } | undefined;
  private order = 0;
  /** Negative: what came since the full snapshot was too much work, and is not followed any more. */
  private stepsLeft = STEPS_MAX;

  /** How much could not be applied: parts of events, or whole ones. */
  get skipped(): number {
    return this.tree.skipped;
  }

  /** Never throws, and never alters the event, of which it may hold parts. */
  apply(event: FoldEvent): void {
    if (event.type === EventType.fullSnapshot) this.stepsLeft = STEPS_MAX;
    if (this.stepsLeft < 0) return this.skip();
    effort.left = this.stepsLeft + STEPS_A_CHAR * (event.chars ?? CHARS_UNTOLD);
    try {
      this.follow(event);
    } catch (error) {
      if (!(error instanceof TooMuchEffort)) throw error;
      this.skip();
    } finally {
      this.stepsLeft = effort.left;
      effort.left = Infinity;
    }
  }

  private follow({ type, ts, data }: FoldEvent): void {
    this.tree.nowMs = ts;
    this.order++;
    if (!isFields(data)) {
      if (type >= EventType.fullSnapshot && type <= EventType.custom) this.skip();
    } else if (type === EventType.incrementalSnapshot) this.applyIncremental(data);
    else if (type === EventType.fullSnapshot) this.applySnapshot(data);
    else if (type === EventType.meta) this.applyMeta(data);
    else if (type === EventType.custom) this.applyCustom(data);
  }

  /**
   * State after all that was applied. Undefined before the first full snapshot, of a page too deep to be written, and of
   * one that was too much work.
   */
  checkpoint(atMs: number): Checkpoint | undefined {
    const { document } = this.tree;
    const page = document && this.stepsLeft >= 0 && writePage(this.tree, document, atMs);
    if (!page) return undefined;
    const tail: Checkpoint['tail'] = [];
    const add = (data: Fields): unknown => tail.push({ type: EventType.incrementalSnapshot, data });
    page.frames.forEach(add);
    for (const { parentId, node } of this.mutations.waiting)
      add(mutationOf({ adds: [{ parentId, nextId: null, node }], isAttachIframe: true }));
    for (const name of this.defined) add({ source: IncrementalSource.customElement, define: { name } });
    this.fonts.forEach(add);
    if (page.attributes.length) add(mutationOf({ attributes: page.attributes }));
    for (const some of [page.rules, this.sheets.toEvents(page.hosts), page.media]) some.forEach(add);
    for (const { isDrawn, data } of page.pictures)
      tail.push({ type: isDrawn ? EventType.incrementalSnapshot : EventType.custom, data: data as object });
    for (const some of [page.fields, page.scrolls]) inOrder(some).forEach(add);
    if (this.selection) add(this.selection);
    if (this.mouse)
      add({ source: IncrementalSource.mouseMove, positions: [{ ...this.mouse, timeOffset: 0 }] });
    return { meta: { ...this.meta }, node: page.node, initialOffset: { ...this.offset }, tail };
  }

  private skip(count = 1): void {
    this.tree.skipped += count;
  }
  private nodeOf(id: unknown): FoldNode | undefined {
    return this.tree.nodes.get(id as number);
  }

  private applyMeta({ href, width, height }: Fields): void {
    if (typeof href === 'string') this.meta.href = href;
    this.resize(width, height);
  }
  private resize(width: unknown, height: unknown): void {
    if (typeof width === 'number') this.meta.width = width;
    if (typeof height === 'number') this.meta.height = height;
  }

  private applySnapshot({ node, initialOffset }: Fields): void {
    if (!this.tree.reset(node)) return this.skip();
    const { left, top } = isFields(initialOffset) ? initialOffset : {};
    this.offset = { left: numberOf(left) || 0, top: numberOf(top) || 0 };
    this.sheets = new Sheets();
    this.selection = undefined;
    this.mutations.attachWaiting();
  }

  private applyCustom({ tag, payload }: Fields): void {
    if (!isFields(payload)) return;
    if (tag === 'navigation' && typeof payload.url === 'string') this.meta.href = payload.url;
    const canvas = tag === 'canvas' ? this.nodeOf(payload.id) : undefined;
    if (canvas) canvas.extras().picture = { tag, payload };
  }

  private applyIncremental(data: Fields): void {
    switch (data.source) {
      case IncrementalSource.mutation:
        return this.mutations.apply(data);
      case IncrementalSource.mouseMove:
      case IncrementalSource.touchMove:
      case IncrementalSource.drag:
        return this.applyMouse(Array.isArray(data.positions) ? data.positions.at(-1) : undefined);
      case IncrementalSource.mouseInteraction:
        // Focus and blur, a menu and a double click have no place of their own.
        if (/^[01279]$/.test(textOf(data.type)) && this.nodeOf(data.id)) this.applyMouse(data);
        return;
      case IncrementalSource.viewportResize:
        return this.resize(data.width, data.height);
      case IncrementalSource.font:
        return this.applyFont(data);
      case IncrementalSource.selection:
        this.selection = data;
        return;
      case IncrementalSource.adoptedStyleSheet:
        return this.skip(this.sheets.adopt(this.nodeOf(data.id), data));
      case IncrementalSource.customElement:
        if (isFields(data.define) && typeof data.define.name === 'string') this.defined.add(data.define.name);
        return;
      case IncrementalSource.styleSheetRule:
      case IncrementalSource.styleDeclaration:
        return this.skip(data.styleId ? this.sheets.change(data) : this.applyRules(data));
      default:
        return this.applyToNode(data);
    }
  }

  private applyToNode(data: Fields): void {
    // rrweb says so of what it does not record.
    if (data.id === -1) return;
    const node = this.nodeOf(data.id);
    switch (data.source) {
      case IncrementalSource.scroll:
        if (node) this.applyScroll(node, data);
        break;
      case IncrementalSource.input: {
        const { text, isChecked } = data;
        if (!node?.isElement) return this.skip();
        node.extras().field = { order: this.order, text, isChecked };
        if (node.tag === 'select') optionPicked(node, text);
        else if (keepsValue(node)) node.put('value', textOf(text));
        break;
      }
      case IncrementalSource.mediaInteraction:
        if (node && isMedia(node)) {
          const extra = node.extras();
          extra.media = mediaAfter(node, extra.media, data, this.tree.nowMs);
        }
        break;
      case IncrementalSource.canvasMutation:
        if (node) node.extras().drawn = drawnAfter(node.extra?.drawn ?? [], data);
        break;
      default:
        return;
    }
    if (!node) this.skip();
  }

  private applyScroll(node: FoldNode, { x, y }: Fields): void {
    if (node === this.tree.document) this.offset = { left: numberOf(x) || 0, top: numberOf(y) || 0 };
    // So that of two positions the later one is set last.
    else dropScroll(node);
    node.extras().scroll = { order: this.order, x, y };
  }

  private applyRules(data: Fields): number {
    const node = this.nodeOf(data.id);
    if (!node || (node.tag !== 'style' && !node.isStyleElement)) return 1;
    const log = (node.extras().rules ??= new RuleLog());
    return data.source === IncrementalSource.styleDeclaration ? log.declare(data) : log.change(data);
  }

  private applyMouse(position: unknown): void {
    if (!isFields(position)) return this.skip();
    const { x, y, id } = position;
    this.mouse = { x: x ?? 0, y: y ?? 0, id };
  }

  private applyFont(data: Fields): void {
    const { family, fontSource, descriptors } = data;
    const key = JSON.stringify([family, fontSource, descriptors]);
    if (this.fonts.has(key)) return;
    if (this.fonts.size < FONTS_MAX) this.fonts.set(key, data);
    else this.skip();
  }
}

const mutationOf = (what: Fields): Fields => ({
  source: IncrementalSource.mutation,
  ...{ texts: [], attributes: [], removes: [], adds: [] },
  ...what,
});
