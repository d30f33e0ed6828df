import { startCapture } from './capture.ts';

/** Runs in the page that the fuzz test records: everything random comes from one seed, time and idleness too. */
export interface FuzzPage {
  events: { type: number; data: unknown; timestamp: number }[];
  /** Differences that rrweb itself reported. */
  errors: string[];
  /** Changes the page so often; slices of the recording come in between. */
  mutate(steps: number): Promise<void>;
  /** Tells all that is not told. */
  settle(): Promise<void>;
  snapshot(): void;
}

export function createFuzzPage(seed: number): FuzzPage {
  const random = mulberry32(seed);
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(list: ArrayLike<T>): T | undefined => list[int(list.length)];
  const pause = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

  // A clock that jumps cuts slices anywhere; a browser that is idle when the seed says so runs them anywhere.
  let nowMs = 0;
  performance.now = () => (nowMs += random() < 0.3 ? random() * 3 : 0);
  const waiting: IdleRequestCallback[] = [];
  window.requestIdleCallback = (run) => waiting.push(run);
  const idle = (): void => {
    const left = random() * 20;
    const end = nowMs + left;
    for (const run of waiting.splice(0))
      run({ didTimeout: false, timeRemaining: () => Math.max(0, end - nowMs) });
  };

  const events: FuzzPage['events'] = [];
  const errors: string[] = [];
  const onError = (error: unknown): void =>
    void errors.push(String(error instanceof Error ? error.stack : error));

  /** Every root in which there are nodes: document, shadow roots, documents of frames. */
  const roots = (): (Document | ShadowRoot)[] => {
    const found: (Document | ShadowRoot)[] = [document];
    for (const root of found)
      for (const element of root.querySelectorAll('*')) {
        if (element.shadowRoot) found.push(element.shadowRoot);
        const doc = element.localName === 'iframe' && (element as HTMLIFrameElement).contentDocument;
        if (doc) found.push(doc);
      }
    return found;
  };
  const elements = (): Element[] =>
    roots().flatMap((root) =>
      Array.from(root.querySelectorAll('*')).filter(
        ({ localName }) => !/^(html|head|body|title|script|meta|style|option)$/.test(localName),
      ),
    );
  const holders = (): Node[] => [
    ...elements().filter(({ localName }) => /^(div|p|section|span|ul|li)$/.test(localName)),
    ...roots().map((root) => (root as Document).body ?? root),
  ];
  const detached: Node[] = [];
  const make = (depth: number): Node => {
    const roll = int(40);
    if (roll < 10) return document.createTextNode(`text ${int(1000)}`);
    if (roll === 10) return document.createComment('comment');
    if (roll === 11) {
      const style = document.createElement('style');
      style.textContent = `.c${int(9)} { width: ${int(90)}px; }\n#i${int(9)} > b { height: ${int(90)}px; }`;
      if (random() < 0.3) style.append(`.split${int(9)} { margin: ${int(9)}px; }`);
      return style;
    }
    if (roll === 12) {
      const input = document.createElement('input');
      if (random() < 0.5) input.type = 'checkbox';
      else input.value = 'typed';
      return input;
    }
    if (roll === 13) {
      const area = document.createElement('textarea');
      area.textContent = random() < 0.5 ? 'area' : '';
      return area;
    }
    if (roll === 14) {
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      svg.append(document.createElementNS('http://www.w3.org/2000/svg', 'rect'));
      return svg;
    }
    if (roll === 15 && depth < 2) return document.createElement('iframe');
    if (roll === 16) {
      const script = document.createElement('script');
      script.type = 'text/none';
      script.textContent = 'nothing';
      return script;
    }
    if (roll === 17) {
      const scroller = document.createElement('div');
      scroller.setAttribute('style', 'height: 50px; width: 50px; overflow: scroll');
      scroller.className = 'scroller';
      scroller.innerHTML = '<p style="height: 500px; width: 500px">tall</p>';
      return scroller;
    }
    const element = document.createElement(pick(['div', 'p', 'section', 'span', 'ul', 'li'])!);
    if (roll === 18) element.setAttribute('data-rr-block', '');
    if (random() < 0.5) element.className = `c${int(9)}`;
    if (roll === 19 && /^(div|p|section|span)$/.test(element.localName))
      element.attachShadow({ mode: 'open' }).append(make(depth + 1));
    for (let count = depth < 5 ? int(5) : 0; count > 0; count--) element.append(make(depth + 1));
    return element;
  };
  const isAround = (node: Node, at: Node | null | undefined): boolean => {
    for (; at; at = at.parentNode ?? (at as ShadowRoot).host ?? (at as Document).defaultView?.frameElement)
      if (at === node) return true;
    return false;
  };
  const insert = (node: Node): void => {
    const parent = pick(holders());
    if (!parent || isAround(node, parent)) return;
    parent.insertBefore(node, random() < 0.5 ? null : (pick(parent.childNodes) ?? null));
  };
  const sheetOf = (): CSSStyleSheet => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`.adopted${int(99)} { color: rgb(${int(99)}, 1, 1); }`);
    return sheet;
  };

  const changes: (() => void)[] = [
    () => insert(make(0)),
    () => insert(make(2)),
    () => {
      const many = document.createDocumentFragment();
      for (let count = int(60); count > 0; count--) many.append(make(3));
      pick(holders())?.appendChild(many);
    },
    () => (pick(elements()) as Element | undefined)?.remove(),
    () => {
      const node = pick(elements());
      if (node) insert(node);
    },
    () => {
      const node = pick(elements());
      if (node && random() < 0.7) detached.push(node);
      node?.remove();
    },
    // What is changed while it is out of the document is observed by nobody.
    () => {
      const out = pick(detached);
      const [a, b] = [pick(out?.childNodes ?? []), pick(detached)];
      if (a && b && b !== out && !isAround(a, b) && b.nodeType === 1) b.appendChild(a);
      else if (a) (out as Element).insertBefore(a, pick(out!.childNodes)!.nextSibling);
    },
    () => {
      const [node] = detached.splice(int(detached.length), 1);
      if (node) insert(node);
    },
    () => {
      const parent = pick(holders());
      const child = pick(parent?.childNodes ?? []);
      if (child) parent!.insertBefore(child, pick(parent!.childNodes)!);
    },
    () => {
      const parent = pick(holders());
      if (parent && random() < 0.3) (parent as Element).replaceChildren(make(1), make(1));
    },
    () => {
      const parent = pick(holders());
      if (parent) (parent as Element).append(...Array.from(parent.childNodes).sort(() => random() - 0.5));
    },
    () => pick(elements())?.setAttribute('data-n', String(int(5))),
    () => pick(elements())?.toggleAttribute('hidden'),
    () => void (pick(elements()) as HTMLElement | undefined)?.style?.setProperty('top', `${int(99)}px`),
    () => pick(elements())?.removeAttribute('class'),
    () => {
      const texts = holders().flatMap((holder) =>
        Array.from(holder.childNodes).filter((node) => node.nodeType === 3),
      );
      const text = pick(texts);
      if (text) text.nodeValue = `changed ${int(1000)}`;
    },
    () => {
      const host = pick(elements().filter((node) => /^(div|p|section|span)$/.test(node.localName)));
      if (host && !host.shadowRoot && !host.matches('.scroller'))
        // An empty one, which hides what is in its host, is not told.
        host.attachShadow({ mode: 'open' }).append('inside', make(3));
    },
    () => {
      // A sheet is of one document.
      const root = pick(roots().filter((root) => (root.ownerDocument ?? root) === document));
      if (root) root.adoptedStyleSheets = random() < 0.2 ? [] : [...root.adoptedStyleSheets, sheetOf()];
    },
    () => {
      const styles = roots().flatMap((root) => Array.from(root.querySelectorAll('style')));
      const style = pick(styles);
      const roll = int(3);
      if (!style?.sheet) return;
      if (roll === 0)
        style.sheet.insertRule(`.r${int(99)} { left: ${int(9)}px; }`, int(style.sheet.cssRules.length));
      else if (roll === 1 && style.sheet.cssRules.length > 1) style.sheet.deleteRule(0);
      else if (roll === 2) style.textContent = `.t${int(99)} { left: ${int(9)}px; }`;
    },
    () => {
      const field = pick(elements().filter(({ localName }) => localName === 'input')) as
        HTMLInputElement | undefined;
      if (!field) return;
      if (field.type === 'checkbox') field.checked = !field.checked;
      else field.value = random() < 0.5 ? '' : `value ${int(9)}`;
      field.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
    },
    () => {
      const area = pick(elements().filter(({ localName }) => localName === 'textarea'));
      if (area) area.textContent = random() < 0.5 ? '' : 'other';
    },
    () => {
      const scroller = pick(roots().flatMap((root) => Array.from(root.querySelectorAll('.scroller'))));
      scroller?.scrollTo(int(300), int(300));
    },
  ];

  const capture = startCapture((event) => events.push(structuredClone(event)), onError, {
    nodesMax: 1e6,
    onTruncated: () => onError('truncated'),
  });
  for (let count = 10 + int(60); count > 0; count--) document.body.append(make(1));

  return {
    events,
    errors,
    async mutate(steps) {
      for (let step = 0; step < steps; step++) {
        for (let count = int(4); count >= 0; count--) pick(changes)!();
        const roll = int(6);
        if (roll < 2) await Promise.resolve();
        else if (roll === 2) await pause();
        else if (roll === 3) {
          await pause();
          idle();
        }
      }
    },
    async settle() {
      // Scroll events come with frames, and rrweb holds them back for 100 ms; frames load in a task of their own.
      for (let frame = 0; frame < 2; frame++) await new Promise((resolve) => requestAnimationFrame(resolve));
      await pause(120);
      while (waiting.length) idle();
      await pause(20);
      // Every other page is told to its end by idleness alone.
      if (seed % 2) capture.finish(1e9);
      while (waiting.length) idle();
      await pause(20);
    },
    snapshot: () => capture.takeFullSnapshot(),
  };
}

function mulberry32(seed: number): () => number {
  return () => {
    let t = (seed += 0x6d2b79f5);
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export interface ReplayMirror {
  getId(node: Node): number;
  getMeta(node: Node): unknown;
}
/** The page, one line a node, as far as a recording shows it: what is compared. */
export function linesOf(root: Document, replay?: ReplayMirror): string[] {
  const isRecorded = (node: Node): boolean => !replay || replay.getId(node) > 0;
  const isBlocked = (element: Element): boolean =>
    replay
      ? 'rr_width' in (replay.getMeta(element) as { attributes: object }).attributes
      : element.closest('[data-rr-block]') !== null;
  const lines: string[] = [];
  const add = (depth: number, line: string): void => void lines.push(' '.repeat(depth) + line);
  const sheets = (of: Document | ShadowRoot, depth: number): void => {
    for (const sheet of of.adoptedStyleSheets) add(depth, `adopted ${rulesOf(sheet)}`);
  };
  const visit = (node: Node, depth: number): void => {
    if (node.nodeType === 3 && isRecorded(node)) add(depth, JSON.stringify(node.nodeValue));
    if (node.nodeType === 9) {
      sheets(node as Document, depth);
      for (const child of node.childNodes) visit(child, depth);
    }
    if (node.nodeType !== 1 || !isRecorded(node)) return;
    const element = node as HTMLElement;
    const tag = element.localName;
    if (/^(script|meta|link|noscript)$/.test(tag)) return;
    const blocked = isBlocked(element);
    const names =
      blocked || tag === 'html'
        ? []
        : element
            .getAttributeNames()
            .filter(
              (name) =>
                !/^rr_|^(value|checked|autocomplete)$/.test(name) && !(tag === 'iframe' && name === 'src'),
            );
    const text = names
      .sort()
      .map(
        (name) =>
          ` ${name}=${JSON.stringify(name === 'style' ? styleOf(element) : element.getAttribute(name))}`,
      )
      .join('');
    // A blocked element that is no block of its own has another size in a replay: how far its scroller goes depends on it.
    const isSteady = !Array.from(element.querySelectorAll('*')).some(
      (inner) => isRecorded(inner) && isBlocked(inner),
    );
    const scroll =
      isSteady && (element.scrollTop || element.scrollLeft)
        ? ` at ${element.scrollLeft},${element.scrollTop}`
        : '';
    add(depth, `<${tag}${text}${blocked ? ' blocked' : ''}>${scroll}${stateOf(element)}`);
    if (blocked || tag === 'textarea' || tag === 'title') return;
    if (tag === 'style') return add(depth + 1, rulesOf((element as HTMLStyleElement).sheet));
    const shadow = element.shadowRoot;
    if (shadow) {
      const before = lines.splice(0);
      for (const child of shadow.childNodes) visit(child, depth + 2);
      const children = lines.splice(0);
      lines.push(...before);
      // An empty one looks like none.
      if (children.length) {
        add(depth + 1, '#shadow');
        sheets(shadow, depth + 2);
        for (const line of children) lines.push(line);
      }
    }
    if (tag === 'iframe') {
      const doc = (element as HTMLIFrameElement).contentDocument;
      if (doc) visit(doc, depth + 1);
      return;
    }
    for (const child of element.childNodes) visit(child, depth + 1);
  };
  const styleOf = ({ style }: HTMLElement): string =>
    Array.from(style, (name) => name + style.getPropertyValue(name))
      .sort()
      .join();
  const rulesOf = (sheet: CSSStyleSheet | null): string =>
    Array.from(sheet?.cssRules ?? [], ({ cssText }) => cssText).join(' ');
  const stateOf = (element: HTMLElement): string => {
    const { localName, type, checked, value } = element as HTMLInputElement;
    if (localName === 'input' && type === 'checkbox') return checked ? ' checked' : '';
    if (localName !== 'input' && localName !== 'textarea') return '';
    return value ? ` value ${replay ? value : '·····'}` : '';
  };
  visit(root, 0);
  return lines;
}
