import { createRandom } from './samples.ts';
import type { PlayedEvent } from './test-replayed-page.ts';

interface Rule {
  /** Of a group: what is in it. */
  inner?: Rule[];
}
interface Known {
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
type Fields = Record<string, unknown>;

/** How far a page scrolls depends on all that was on it before; this stands by itself. */
const SCROLLER = 900_000;
const SCROLLED: Fields = {
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
const START_MS = 1_800_000_000_000;
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
const CSS = [
  '.a { color: red; }',
  '.b:hover, p { margin: 1px; }',
  '@media (min-width: 1px) { .c { top: 1px; } .d { top: 2px; } }',
];

/**
 * Events of a page that is nowhere, drawn by seed: every kind that the fold knows, in orders that no recorder would
 * choose, and here and there what cannot be applied at all. Nodes come back under new ids only.
 */
export function createFoldEvents(seed: number, count: number): PlayedEvent[] {
  const random = createRandom(seed);
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(list: readonly T[]): T => list[int(list.length)]!;
  const chance = (share: number): boolean => random() < share;
  const known = new Map<number, Known>();
  const sheets = new Map<number, { rules: Rule[]; docId: number }>();
  const events: PlayedEvent[] = [];
  let lastId = 5;
  let lastSheet = 0;
  let lastOption = 0;
  let nowMs = START_MS;

  const emit = (type: number, data: unknown): void => {
    nowMs += int(40);
    events.push({ type, timestamp: nowMs, data });
  };
  const tell = (source: number, data: Fields): void => emit(3, { source, ...data });
  const mutate = (what: Fields): void =>
    tell(0, { adds: [], removes: [], texts: [], attributes: [], ...what });
  const all = (tags?: RegExp): Known[] => [...known.values()].filter(({ tag }) => !tags || tags.test(tag));
  const elements = (): Known[] => all(/^[a-z]/);
  const holders = (): Known[] => all(/^(div|p|span|ul|section|body)$/);

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
  const rulePath = (rules: Rule[]): { at: number[]; list: Rule[] } => {
    const groups = rules.flatMap(({ inner }, i) => (inner ? [i] : []));
    if (!groups.length || chance(0.6)) return { at: [], list: rules };
    const group = pick(groups);
    return { at: [group], list: rules[group]!.inner! };
  };
  const changeRules = (ref: Fields, rules: Rule[]): void => {
    const { at, list } = rulePath(rules);
    const roll = random();
    const index = (i: number): unknown => (at.length ? [...at, i] : i);
    if (roll < 0.45) {
      const i = int(list.length + 1);
      const isGroup = !at.length && chance(0.2);
      const isRefused = chance(0.1);
      const rule = isRefused
        ? 'p::-moz-not-known { top: 1px; }'
        : isGroup
          ? CSS[2]
          : `.r${int(99)} { left: ${int(9)}px; }`;
      tell(8, { ...ref, adds: [{ rule, index: index(i) }] });
      if (!isRefused) list.splice(i, 0, isGroup ? { inner: [{}, {}] } : {});
    } else if (roll < 0.7) {
      if (!list.length) return;
      const i = int(list.length);
      tell(8, { ...ref, removes: [{ index: index(i) }] });
      list.splice(i, 1);
    } else if (list.length) {
      const i = int(list.length);
      if (list[i]!.inner) return;
      const property = pick(['top', 'left', 'margin', 'margin-left', 'color']);
      const value = property === 'color' ? pick(['red', 'nonsense']) : `${int(50)}px`;
      const what = chance(0.2)
        ? { remove: { property } }
        : { set: { property, value, ...(chance(0.1) && { priority: 'important' }) } };
      tell(13, { ...ref, ...what, index: [...at, i] });
    }
  };

  const acts: [weight: number, act: () => void][] = [
    [20, () => mutate({ adds: Array.from({ length: 1 + int(3) }, () => addInto(pick(holders()))) })],
    // Told from the last to the first, so that each waits for what comes after it.
    [4, () => mutate({ adds: Array.from({ length: 3 }, () => addInto(pick(holders()))).reverse() })],
    [
      4,
      () => {
        const select = pick(all(/^select$/));
        if (select) mutate({ adds: [addInto(select)] });
      },
    ],
    [
      3,
      () => {
        const style = pick(all(/^(style|textarea)$/));
        if (style) mutate({ adds: [addInto(style)] });
      },
    ],
    [
      8,
      () => {
        const node = pick(all().filter(({ tag }) => !/^(html|head|body|#document|#doctype)$/.test(tag)));
        if (!node) return;
        const list = listOf(node);
        const at = list.indexOf(node.id);
        if (at < 0) return;
        list.splice(at, 1);
        const parent = known.get(node.parentId)!;
        if (parent.tag === 'style') parent.rules = undefined;
        mutate({
          removes: [{ id: node.id, parentId: node.parentId, ...(node.isShadow && { isShadow: true }) }],
        });
        forget(node);
      },
    ],
    [
      6,
      () => {
        const frame = pick(all(/^iframe$/));
        if (!frame) return;
        for (const old of all(/^#document$/)) if (old.parentId === frame.id) forget(old);
        mutate({
          adds: [{ parentId: frame.id, nextId: null, node: frameDocument(frame) }],
          isAttachIframe: true,
        });
      },
    ],
    [
      20,
      () => {
        const { id, tag } = pick(elements());
        const name = pick([
          'class',
          'title',
          'hidden',
          'onclick',
          'value',
          'checked',
          'autocomplete',
          'selected',
          'open',
          'style',
          'xlink:href',
          'rr_x',
          'media',
        ]);
        if (name === 'media' && tag !== 'style') return;
        const value =
          name !== 'value' && chance(0.25)
            ? null
            : name === 'open'
              ? ''
              : name === 'style'
                ? `left: ${int(9)}px`
                : `v${int(9)}`;
        mutate({ attributes: [{ id, attributes: { [name]: value } }] });
      },
    ],
    [
      15,
      () => {
        const name = pick(['top', 'left', 'margin', 'margin-left', 'color']);
        const value =
          name !== 'color' && chance(0.2)
            ? false
            : chance(0.2)
              ? [`${int(9)}px`, 'important']
              : name === 'color'
                ? pick(['blue', 'none such'])
                : `${int(99)}px`;
        mutate({ attributes: [{ id: pick(elements()).id, attributes: { style: { [name]: value } } }] });
      },
    ],
    [
      4,
      () => {
        const link = pick(all(/^link$/));
        if (!link) return;
        const { text, rules } = baseRules();
        mutate({ attributes: [{ id: link.id, attributes: { _cssText: text } }] });
        link.rules = text ? rules : undefined;
      },
    ],
    [
      8,
      () => {
        const text = pick(all(/^#text$/));
        if (!text) return;
        const parent = known.get(text.parentId);
        if (parent?.tag === 'style') parent.rules = undefined;
        mutate({
          texts: [
            {
              id: text.id,
              value: parent?.tag === 'style' ? CSS[int(3)]! : chance(0.1) ? null : `t${int(99)}`,
            },
          ],
        });
      },
    ],
    [
      25,
      () => {
        const style = pick(all(/^(style|link)$/).filter(({ rules }) => rules));
        if (style) changeRules({ id: style.id }, style.rules!);
      },
    ],
    [
      6,
      () => {
        const host = pick(all().filter(({ tag, isHost }) => isHost || tag === '#document'));
        const styles = Array.from({ length: int(3) }, () => {
          sheets.set(++lastSheet, { rules: [{}], docId: host.docId });
          return { styleId: lastSheet, rules: [{ rule: CSS[0], index: 0 }] };
        });
        const before = [...sheets]
          .filter(([, { docId }]) => docId === host.docId)
          .map(([styleId]) => styleId);
        const styleIds = before.filter(
          (styleId) => styles.some((one) => one.styleId === styleId) || chance(0.4),
        );
        tell(15, { id: host.id, styleIds, ...(styles.length && { styles }) });
      },
    ],
    [
      8,
      () => {
        const [styleId, sheet] = pick([...sheets]) ?? [];
        if (!sheet) return;
        if (chance(0.8)) return changeRules({ styleId }, sheet.rules);
        const { text, rules } = baseRules();
        sheet.rules = rules;
        tell(8, { styleId, [pick(['replace', 'replaceSync'])]: text });
      },
    ],
    [
      8,
      () => {
        const field = pick(all(/^(input|textarea|select)$/));
        if (field)
          tell(5, {
            id: field.id,
            text: field.tag === 'select' ? `o${int(lastOption + 3)}` : `typed ${int(9)}`,
            isChecked: chance(0.5),
          });
      },
    ],
    [5, () => tell(3, { id: SCROLLER, x: int(200), y: int(200) })],
    [
      3,
      () => {
        const video = pick(all(/^video$/));
        if (video)
          tell(7, {
            id: video.id,
            type: int(5),
            // Recorders tell all of it: what is left out rrweb guesses.
            ...{ currentTime: 0, volume: 0.25, playbackRate: 1, muted: chance(0.5), loop: chance(0.5) },
          });
      },
    ],
    [4, () => tell(1, { positions: [{ x: int(99), y: int(99), id: pick(elements()).id, timeOffset: 0 }] })],
    [2, () => tell(4, { width: 400 + int(400), height: 300 + int(300) })],
    // What cannot be applied.
    [1, () => mutate({ removes: [{ id: 99_999, parentId: 5 }] })],
    [
      1,
      () =>
        mutate({
          adds: [{ parentId: 99_999, nextId: null, node: { type: 3, id: ++lastId, textContent: 'lost' } }],
        }),
    ],
    [
      1,
      () =>
        mutate({
          adds: [
            {
              parentId: 5,
              nextId: null,
              node: { type: 3, id: ++lastId, textContent: 'no document', rootId: 99_999 },
            },
          ],
        }),
    ],
    [
      1,
      () =>
        mutate({ texts: [{ id: 99_999, value: 'x' }], attributes: [{ id: 99_999, attributes: { a: 'b' } }] }),
    ],
    [1, () => tell(3, { id: 99_999, x: 1, y: 1 })],
  ];
  const total = acts.reduce((sum, [weight]) => sum + weight, 0);

  // The page as it begins.
  know('#document', undefined, false, 1, 1);
  know('#doctype', known.get(1), false, 1, 2);
  const html = know('html', known.get(1), false, 1, 3);
  const head = know('head', html, false, 1, 4);
  const body = know('body', html, false, 1, 5);
  html.children = [head.id, body.id];
  const told = (node: Known, childNodes: Fields[]): Fields => ({
    type: 2,
    id: node.id,
    tagName: node.tag,
    attributes: {},
    childNodes,
  });
  const inside = Array.from({ length: 6 }, () => {
    const child = make(body, false, 1, 3);
    body.children.push(child.id as number);
    return child;
  });
  emit(4, { href: 'https://shop.example/', width: 800, height: 600 });
  emit(2, {
    node: {
      type: 0,
      id: 1,
      childNodes: [
        { type: 1, id: 2, name: 'html', publicId: '', systemId: '' },
        told(html, [told(head, []), told(body, [SCROLLED, ...inside])]),
      ],
    },
    initialOffset: { left: 0, top: 0 },
  });
  while (events.length < count) {
    let roll = int(total);
    acts.find(([weight]) => (roll -= weight) < 0)![1]();
  }
  return events;
}
