import { createRandom } from './samples.ts';
import {
  createFoldPage,
  CSS,
  SCROLLED,
  SCROLLER,
  type Fields,
  type Known,
  type Rule,
} from './test-fold-page.ts';
import type { PlayedEvent } from './test-replayed-page.ts';

const START_MS = 1_800_000_000_000;

/**
 * Events of a page that is nowhere, drawn by seed: every kind that the fold knows, in orders that no recorder would
 * choose, and here and there what cannot be applied at all. Nodes come back under new ids only.
 */
export function createFoldEvents(seed: number, count: number): PlayedEvent[] {
  const random = createRandom(seed);
  const page = createFoldPage(random);
  const { int, pick, chance, known, baseRules, know, make, forget, listOf, addInto, frameDocument } = page;
  const sheets = new Map<number, { rules: Rule[]; docId: number }>();
  const events: PlayedEvent[] = [];
  let lastSheet = 0;
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
            text: field.tag === 'select' ? page.someValue() : `typed ${int(9)}`,
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
          adds: [
            { parentId: 99_999, nextId: null, node: { type: 3, id: page.nextId(), textContent: 'lost' } },
          ],
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
              node: { type: 3, id: page.nextId(), textContent: 'no document', rootId: 99_999 },
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
