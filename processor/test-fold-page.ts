export interface Rule {
  /** Of a group: what is in it. */
  inner?: Rule[];
}
export interface Known {
  id: number;
  tag: string;
  parentId: number;
  isShadow: boolean;
  /** Of its frame's document; 1 in the page's own. */
  docId: number;
  children: number[];
  shadow: number[];
  isHost: boolean;
  rules?: Rule[];
}
export type Fields = Record<string, unknown>;

/** How far a page scrolls depends on all that was on it before; this stands by itself. */
export const SCROLLER = 900_000;
export const SCROLLED: Fields = {
  ...{ type: 2, id: SCROLLER, tagName: 'div' },
  attributes: { style: 'width: 50px; height: 50px; overflow: scroll', rr_scrollTop: 20 },
  childNodes: [
    {
      type: 2,
      id: SCROLLER + 1,
      tagName: 'i',
      attributes: { style: 'display: block; width: 500px; height: 500px' },
      childNodes: [],
    },
  ],
};
const TAGS = [
  'div',
  'p',
  'span',
  'ul',
  'section',
  'input',
  'textarea',
  'select',
  'style',
  'link',
  'iframe',
  'dialog',
  'video',
];
export const CSS = [
  '.a { color: red; }',
  '.b:hover, p { margin: 1px; }',
  '@media (min-width: 1px) { .c { top: 1px; } .d { top: 2px; } }',
];

/** What a page holds, as far as its events need to know; its nodes are drawn as `random` says. */
export function createFoldPage(random: () => number) {
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(list: readonly T[]): T => list[int(list.length)]!;
  const chance = (share: number): boolean => random() < share;
  const known = new Map<number, Known>();
  let lastId = 5;
  let lastOption = 0;

  const baseRules = (): { text: string; rules: Rule[] } => {
    const parts = Array.from({ length: int(4) }, () => int(CSS.length));
    return {
      text: parts.map((part) => CSS[part]).join('\n'),
      rules: parts.map((part) => (part === 2 ? { inner: [{}, {}] } : {})),
    };
  };
  const know = (
    tag: string,
    parent: Known | undefined,
    isShadow: boolean,
    docId: number,
    id = ++lastId,
  ): Known => {
    const node: Known = {
      ...{ id, tag, parentId: parent?.id ?? 0, isShadow, docId },
      ...{ children: [], shadow: [], isHost: false },
    };
    known.set(id, node);
    return node;
  };
  const attributesOf = (tag: string): Fields => {
    const attributes: Fields = {};
    if (chance(0.5)) attributes.class = `c${int(9)}`;
    if (chance(0.1)) attributes.style = `top: ${int(9)}px; color: red`;
    if (chance(0.05)) attributes.onclick = 'x()';
    if (tag === 'input')
      Object.assign(attributes, chance(0.5) ? { type: 'checkbox', checked: chance(0.5) } : { value: 'v' });
    if (tag === 'textarea') attributes.value = chance(0.5) ? 'area' : '';
    if (tag === 'option')
      Object.assign(attributes, { value: `o${++lastOption}` }, chance(0.2) && { selected: true });
    if (tag === 'div' && chance(0.1)) Object.assign(attributes, { rr_width: '30px', rr_height: '20px' });
    if (tag === 'div' && chance(0.2)) attributes.rr_scrollTop = 50;
    if (tag === 'dialog' && chance(0.5))
      Object.assign(attributes, { open: '', rr_open_mode: pick(['modal', 'non-modal']) });
    if (tag === 'video') Object.assign(attributes, { rr_mediaMuted: chance(0.5), rr_mediaVolume: 0.5 });
    return attributes;
  };
  /** A node as it is told, and known from then on. `depth` 0: without children. */
  const make = (parent: Known, isShadow: boolean, docId: number, depth: number): Fields => {
    const roll = parent.tag === 'select' ? 1 : /^(option|textarea)$/.test(parent.tag) ? 0 : random();
    const base: Fields = { ...(docId > 1 && { rootId: docId }), ...(isShadow && { isShadow: true }) };
    if (roll < 0.25 || (roll < 0.3 && parent.tag === 'style')) {
      const node = know('#text', parent, isShadow, docId);
      return { type: 3, id: node.id, textContent: parent.tag === 'style' ? '' : `text ${int(99)}`, ...base };
    }
    if (roll < 0.3)
      return { type: 5, id: know('#comment', parent, isShadow, docId).id, textContent: 'c', ...base };
    const tag = parent.tag === 'select' ? 'option' : pick(TAGS);
    const node = know(tag, parent, isShadow, docId);
    const attributes = attributesOf(tag);
    const told: Fields = { type: 2, id: node.id, tagName: tag, attributes, childNodes: [], ...base };
    if (tag === 'style' || tag === 'link') {
      const { text, rules } = baseRules();
      node.rules = rules;
      if (chance(0.8)) attributes._cssText = text;
      else if (tag === 'style') node.rules = [];
      else node.rules = undefined;
    }
    if (/^(div|section)$/.test(tag) && chance(0.2)) node.isHost = told.isShadowHost = true;
    if (depth > 0 && !/^(input|textarea|style|link|iframe|video|dialog)$/.test(tag))
      for (let more = int(4); more > 0; more--) {
        const inShadow = node.isHost && chance(0.5);
        const child = make(node, inShadow, docId, depth - 1);
        (inShadow ? node.shadow : node.children).push(child.id as number);
        (told.childNodes as Fields[]).push(child);
      }
    // Its text is told with it, cut as the element's was.
    if (tag === 'style' && depth > 0 && typeof attributes._cssText === 'string' && chance(0.5)) {
      const texts = chance(0.5) ? [''] : ['', ''];
      // A rule that is there twice rrweb would take for the other.
      if (texts.length > 1) attributes._cssText = `.first { top: 0px; }/* rr_split */${attributes._cssText}`;
      if (texts.length > 1) node.rules!.unshift({});
      for (const textContent of texts) {
        const text = know('#text', node, false, docId);
        node.children.push(text.id);
        (told.childNodes as Fields[]).push({
          type: 3,
          id: text.id,
          textContent,
          ...(docId > 1 && { rootId: docId }),
        });
      }
    }
    return told;
  };
  const forget = (node: Known): void => {
    known.delete(node.id);
    for (const id of [...node.children, ...node.shadow]) if (known.has(id)) forget(known.get(id)!);
    for (const other of [...known.values()])
      if (other.docId === node.id || (node.tag === 'iframe' && other.parentId === node.id)) forget(other);
  };
  const listOf = ({ parentId, isShadow }: Known): number[] => {
    const parent = known.get(parentId);
    return parent ? (isShadow ? parent.shadow : parent.children) : [];
  };
  const addInto = (parent: Known): Fields => {
    const isShadow = parent.isHost && chance(0.5);
    const list = isShadow ? parent.shadow : parent.children;
    // A text takes the place of all that a textarea had.
    if (parent.tag === 'textarea') for (const id of list.splice(0)) known.delete(id);
    const at = int(list.length + 1);
    const nextId = list[at] ?? null;
    const node = make(parent, isShadow, parent.docId, 0);
    list.splice(at, 0, node.id as number);
    if (parent.tag === 'style') parent.rules = undefined;
    return { parentId: parent.id, nextId, node };
  };
  const frameDocument = (frame: Known): Fields => {
    const document = know('#document', frame, false, 0);
    document.docId = document.id;
    const rootId = document.id;
    const [html, head, body] = ['html', 'head', 'body'].map((tag) => know(tag, document, false, rootId));
    document.children = [html!.id];
    html!.children = [head!.id, body!.id];
    const element = (node: Known, childNodes: Fields[]): Fields => ({
      ...{ type: 2, id: node.id, tagName: node.tag, attributes: {}, childNodes, rootId },
    });
    const inside: Fields[] = [];
    for (let more = int(3); more > 0; more--) {
      const child = make(body!, false, rootId, 2);
      body!.children.push(child.id as number);
      inside.push(child);
    }
    return {
      type: 0,
      id: document.id,
      childNodes: [element(html!, [element(head!, []), element(body!, inside)])],
    };
  };
  return {
    ...{ int, pick, chance, known, baseRules, know, make, forget, listOf, addInto, frameDocument },
    nextId: (): number => ++lastId,
    /** Of a select: may be one that is there. */
    someValue: (): string => `o${int(lastOption + 3)}`,
  };
}
