import { isFields, NodeType, spend, type FoldNode, type SerializedNode } from './fold-node.ts';
import { optionMarked } from './fold-selects.ts';
import { changedInside, isNode, type FoldTree } from './fold-tree.ts';

type Fields = Record<string, unknown>;
interface Add {
  parentId: number;
  nextId?: number | null;
  previousId?: number | null;
  node: SerializedNode;
}
/** What became of an addition. `broken`: rrweb fails there and applies no more of its event. */
type Outcome = 'done' | 'later' | 'skipped' | 'broken';

/** What trying an addition once more costs, beside a step of a walk. */
const RETRY_STEPS = 20;
/** Documents of frames that are not there yet. */
const WAITING_MAX = 16;

/**
 * Applies rrweb's mutations in rrweb's order: removals, additions, those again that waited for a neighbour or parent,
 * texts, attributes. What names a node that is not there is skipped.
 */
export class Mutations {
  private readonly tree: FoldTree;
  /** Documents whose frame has not come. */
  waiting: Add[] = [];

  constructor(tree: FoldTree) {
    this.tree = tree;
  }

  apply(data: Fields): void {
    const { tree } = this;
    const { removes, adds, texts, attributes } = data;
    if (!Array.isArray(removes)) return this.skip();
    const known = removes.filter((one) => isFields(one) && tree.nodes.has(one.id as number)) as Fields[];
    tree.skipped += removes.length - known.length;
    for (const remove of known) if (!this.remove(remove)) return this.skip();
    if (!Array.isArray(adds) || !this.addAll(adds)) return this.skip();
    if (!Array.isArray(texts)) return this.skip();
    // Of several for one node the last counts.
    for (const text of texts) this.setText(text);
    if (!Array.isArray(attributes)) return this.skip();
    for (const one of attributes) this.setAttributes(one);
  }

  private skip(count = 1): void {
    this.tree.skipped += count;
  }

  private remove({ id, parentId, isShadow }: Fields): boolean {
    const { tree } = this;
    const node = tree.nodes.get(id as number);
    // It went with another that was removed before.
    if (!node) return true;
    let parent = tree.nodes.get(parentId as number);
    if (!parent) {
      this.skip();
      return true;
    }
    if (isShadow && parent.shadow) parent = parent.shadow;
    tree.forget(node);
    if (node.parent !== parent) return false;
    tree.take(node);
    return true;
  }

  private addAll(adds: readonly unknown[]): boolean {
    let queue: Add[] = [];
    for (const add of adds) {
      if (!isAdd(add)) {
        this.skip();
        continue;
      }
      const outcome = this.add(add);
      if (outcome === 'broken') return false;
      if (outcome === 'later') queue.push(add);
      else if (outcome === 'skipped') this.skip();
    }
    while (queue.length) {
      const before = queue.length;
      const next: Add[] = [];
      for (const tree of treesOf(queue)) {
        // Without a parent it goes, and all that hangs on it.
        if (!this.tree.nodes.has(tree.add.parentId)) {
          this.skip(sizeOf(tree));
          continue;
        }
        for (const add of inOrder(tree)) {
          spend(RETRY_STEPS);
          const outcome = this.add(add);
          if (outcome === 'broken') return false;
          if (outcome === 'later') next.push(add);
          else if (outcome === 'skipped') this.skip();
        }
      }
      queue = next;
      // What waits for a neighbour that never comes is given up; rrweb tries for half a second.
      if (queue.length === before) {
        this.skip(queue.length);
        break;
      }
    }
    return true;
  }

  private add(add: Add): Outcome {
    const { tree } = this;
    const { node: told, nextId, previousId } = add;
    const holder = tree.nodes.get(add.parentId);
    if (!holder) {
      if (told.type !== NodeType.document) return 'later';
      if (this.waiting.length >= WAITING_MAX) return 'skipped';
      this.waiting.push(add);
      return 'done';
    }
    let parent = holder;
    if (told.isShadow) {
      if (!holder.isElement) return 'broken';
      parent = holder.attachShadow();
    }
    const previous = previousId ? tree.nodes.get(previousId) : undefined;
    const next = nextId ? tree.nodes.get(nextId) : undefined;
    if (nextId !== null && nextId !== undefined && nextId !== -1 && !next) return 'later';
    if (told.rootId && !tree.nodes.has(told.rootId)) return 'skipped';
    if (holder.tag === 'iframe') return this.attach(holder, told);
    // Of rrweb 0: the place is unknown until a neighbour comes.
    if (previousId === -1 || nextId === -1) return 'skipped';
    if (holder.type === NodeType.document ? !this.clearRoot(holder, told) : !holder.isElement)
      return 'broken';
    const node = tree.build(told, 'alone');
    if (!node || node.contains(parent)) return 'broken';
    if (holder.isElement && parent === holder && node.type === NodeType.text) this.takeText(holder, node);
    if (previous?.next?.parent && previous.next !== node) {
      if (previous.next.parent !== parent) return 'broken';
      tree.put(node, parent, previous.next);
    } else if (next?.parent && next !== node && parent.contains(next)) {
      if (next.parent !== parent) return 'broken';
      tree.put(node, parent, next);
    } else if (next !== node || node.parent !== parent) tree.put(node, parent, null);
    if (node.tag === 'iframe') this.attachWaiting();
    return 'done';
  }

  /** A text that is put into a textarea takes the place of all others; into a style, of the one without an id. */
  private takeText(parent: FoldNode, node: FoldNode): void {
    if (parent.tag === 'textarea') {
      parent.anonymous = null;
      for (let child = parent.first; child;) {
        const { next } = child;
        if (child.type === NodeType.text && child !== node) child.detach();
        child = next;
      }
    } else if (parent.tag === 'style' && parent.anonymous !== null && !parent.first) {
      node.text = parent.anonymous;
      node.isStyled = true;
      parent.anonymous = null;
    }
  }

  /** A document has one doctype and one root element: a new one takes the place of the old one. */
  private clearRoot(document: FoldNode, told: SerializedNode): boolean {
    if (told.type === NodeType.comment) return true;
    if (told.type === NodeType.doctype) {
      if (document.first?.type === NodeType.doctype) document.first.detach();
      return true;
    }
    if (told.type !== NodeType.element) return false;
    let root = document.first;
    while (root && !root.isElement) root = root.next;
    if (!root) return true;
    if (told.tagName !== 'html') return false;
    this.tree.forget(root);
    root.detach();
    return true;
  }

  /** The document of a frame, whole. */
  private attach(frame: FoldNode, told: SerializedNode): Outcome {
    if (told.type !== NodeType.document) return 'skipped';
    if (frame.content && this.tree.nodes.get(told.id) !== frame.content) {
      this.tree.forget(frame.content);
    }
    const document = this.tree.build(told, 'frame');
    if (!document) return 'skipped';
    document.holder = frame;
    // It is opened anew, and what it adopted stays.
    const adopted = frame.content?.extra?.adopted;
    if (adopted && frame.content !== document) document.extras().adopted = adopted;
    frame.content = document;
    this.attachWaiting();
    return 'done';
  }

  /** After frames have come. */
  attachWaiting(): void {
    for (let i = 0; i < this.waiting.length; i++) {
      const { parentId, node } = this.waiting[i]!;
      const frame = this.tree.nodes.get(parentId);
      if (frame?.tag !== 'iframe') continue;
      this.waiting.splice(i, 1);
      this.attach(frame, node);
      return;
    }
  }

  private setText(mutation: unknown): void {
    const { id, value } = isFields(mutation) ? mutation : {};
    const node = this.tree.nodes.get(id as number);
    if (!node || node.isElement || node.type === NodeType.document || node.type === NodeType.doctype)
      return this.skip();
    node.text = typeof value === 'string' ? value : '';
    const { parent } = node;
    node.isStyled = node.text !== '' && Boolean(parent?.isStyleElement && !parent.isSVG);
    if (parent) changedInside(parent);
  }

  private setAttributes(mutation: unknown): void {
    const { id, attributes } = isFields(mutation) ? mutation : {};
    const node = this.tree.nodes.get(id as number);
    if (!node?.isElement || !isFields(attributes)) return this.skip();
    for (const [name, value] of Object.entries(attributes)) {
      if (name === '_cssText' && typeof value === 'string' && (node.tag === 'style' || node.tag === 'link')) {
        this.tree.rebuildStyle(node, attributes);
        return;
      }
      this.setAttribute(node, name, value);
    }
  }

  private setAttribute(node: FoldNode, name: string, value: unknown): void {
    if (typeof value !== 'string' && value !== null) {
      if (name !== 'style') return this.skip();
      if (typeof value === 'object') this.setStyles(node, value as Fields);
      return;
    }
    if (name === 'style') {
      if (node.extra?.styles) node.extra.styles = undefined;
      node.put('rr_width', undefined);
      node.put('rr_height', undefined);
    }
    if (name === 'value' && node.tag === 'textarea' && value !== null) {
      while (node.first) node.first.detach();
      node.anonymous = value;
      return;
    }
    if (isLate(node, name)) {
      const late = (node.extras().late ??= new Map<string, string | null>());
      late.delete(name);
      late.set(name, value);
      return;
    }
    const had = name in node.attributes;
    node.put(name, value ?? undefined);
    if (name === 'selected' && node.tag === 'option' && had !== (value !== null)) optionMarked(node);
    if (name === 'open' && value === null && node.tag === 'dialog') node.put('rr_open_mode', undefined);
  }

  private setStyles(node: FoldNode, values: Fields): void {
    const extra = node.extras();
    for (const [name, value] of Object.entries(values)) {
      const styles = (extra.styles ??= []);
      spend(styles.length);
      const own = styles.filter((one) => one.name === name);
      // Since its last removal the first tells where it stands, the last what it is.
      const since = own.slice(own.findLastIndex((one) => one.value === false) + 1);
      const dead = value === false ? own : since.slice(1);
      if (dead.length) extra.styles = styles.filter((one) => !dead.includes(one));
      extra.styles.push({ name, value });
    }
  }
}

/** Whether a snapshot would set the attribute otherwise than a mutation does, or makes more of it than an attribute. */
function isLate(node: FoldNode, name: string): boolean {
  const { tag, attributes } = node;
  if (tag === 'style' || tag === 'link' || tag === 'meta') return true;
  if (tag === 'iframe' && name === 'src') return true;
  if (tag === 'img' && attributes.rr_dataURL) return true;
  if (name === 'autocomplete') return tag === 'input' || tag === 'textarea';
  return name.startsWith('rr_')
    ? name !== 'rr_open_mode'
    : name === '_cssText' ||
        name === 'onload' ||
        name === 'onclick' ||
        name.startsWith('onmouse') ||
        name === 'xlink:href';
}

function isAdd(value: unknown): value is Add {
  return isFields(value) && isNode(value.node);
}

interface AddTree {
  add: Add;
  parent: AddTree | null;
  children: AddTree[];
}
/** Additions that waited, each before the neighbour or under the parent that is among them. */
function treesOf(queue: readonly Add[]): AddTree[] {
  const byId = new Map<number, AddTree>();
  const roots: AddTree[] = [];
  for (const add of queue) {
    const next = add.nextId ? byId.get(add.nextId) : undefined;
    const parent = next ? next.parent : (byId.get(add.parentId) ?? null);
    const list = parent ? parent.children : roots;
    const tree: AddTree = { add, parent, children: [] };
    const at = next ? list.indexOf(next) : list.length;
    if (next) spend(list.length);
    list.splice(at, 0, tree);
    byId.set(add.node.id, tree);
  }
  return roots;
}
/** From the last child to the first, for each stands before the next. */
function* inOrder(root: AddTree): Generator<Add> {
  const stack = [root];
  for (let tree = stack.pop(); tree; tree = stack.pop()) {
    yield tree.add;
    for (const child of tree.children) stack.push(child);
  }
}
const sizeOf = (tree: AddTree): number => Array.from(inOrder(tree)).length;
