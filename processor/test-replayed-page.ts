import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';

/** An event as rrweb's replayer takes it. */
export interface PlayedEvent {
  type: number;
  timestamp: number;
  data: unknown;
}
interface Mirror {
  getId(node: Node): number;
  getNode(id: number): Node | null;
}
interface ReplayerOf {
  pause(ms: number): void;
  destroy(): void;
  iframe: HTMLIFrameElement;
  getMirror(): Mirror;
}
interface ReplayPage {
  rrwebReplay: { Replayer: new (events: unknown[], config: object) => ReplayerOf };
  linesOfReplay: typeof linesOfReplay;
}

const REPLAY = join(dirname(createRequire(import.meta.url).resolve('@rrweb/replay')), 'replay.umd.min.cjs');

/** A page in which rrweb's replayer plays. */
export async function openReplay(browser: Browser): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.route('http://replay.test/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>replay</title><body></body>' }),
  );
  await page.goto('http://replay.test/');
  await page.addScriptTag({ path: REPLAY });
  await page.addScriptTag({ content: `window.linesOfReplay = ${String(linesOfReplay)}` });
  return page;
}

/** The page after the last of the events, one line a node. Played as the player does it, at one go. */
export function replay(page: Page, events: readonly PlayedEvent[]): Promise<string[]> {
  return page.evaluate(async (played) => {
    const last = played.at(-1)!.timestamp;
    const end = { type: 0, timestamp: last + 1000, data: {} };
    const { rrwebReplay, linesOfReplay: linesOf } = globalThis as unknown as ReplayPage;
    const replayer = new rrwebReplay.Replayer([...played, end], {
      root: document.body,
      useVirtualDom: false,
      UNSAFE_replayCanvas: false,
      showWarning: false,
      triggerFocus: false,
      mouseTail: false,
    });
    replayer.pause(last - played[0]!.timestamp + 1);
    await new Promise((resolve) => setTimeout(resolve, 30));
    const lines = linesOf(replayer);
    replayer.destroy();
    return lines;
  }, events);
}

/** Runs in the page. What rrweb itself put there is left out. */
function linesOfReplay(replayer: ReplayerOf): string[] {
  const mirror = replayer.getMirror();
  const lines: string[] = [];
  const rulesOf = (sheet: CSSStyleSheet | null): string =>
    Array.from(sheet?.cssRules ?? [], ({ cssText }) => cssText).join(' ');
  const adopted = (root: Document | ShadowRoot): string =>
    root.adoptedStyleSheets.map((sheet) => ` adopts {${rulesOf(sheet)}}`).join('');
  const idOf = (node: Node): string => {
    const id = mirror.getId(node);
    // What is there without a number of its own a checkpoint tells under one that nobody else has.
    return id === -1 ? '' : mirror.getNode(id) === node && id > -1000 ? `#${id}` : '#?';
  };
  const stateOf = (element: Element): string => {
    const { localName } = element;
    const state: unknown[] = [];
    if (localName === 'input') {
      const { value, checked, disabled } = element as HTMLInputElement;
      state.push(value, checked, disabled);
    } else if (localName === 'textarea') state.push((element as HTMLTextAreaElement).value);
    else if (localName === 'select')
      state.push((element as HTMLSelectElement).selectedIndex, (element as HTMLSelectElement).value);
    else if (localName === 'option') state.push((element as HTMLOptionElement).selected);
    else if (localName === 'dialog')
      state.push((element as HTMLDialogElement).open && element.matches(':modal'));
    else if (localName === 'video' || localName === 'audio') {
      const { muted, loop, volume, playbackRate } = element as HTMLMediaElement;
      state.push(muted, loop, volume, playbackRate);
    }
    const { scrollLeft, scrollTop } = element;
    if (scrollLeft || scrollTop) state.push(`at ${scrollLeft},${scrollTop}`);
    return state.length ? ` = ${JSON.stringify(state)}` : '';
  };
  const visit = (node: Node, depth: number): void => {
    const add = (line: string): void => void lines.push(' '.repeat(depth) + idOf(node) + line);
    if (node.nodeType === Node.DOCUMENT_NODE) {
      const { compatMode, defaultView: view, fonts } = node as Document;
      const families = Array.from(fonts, ({ family }) => family).join();
      add(
        `document ${compatMode} at ${view?.scrollX},${view?.scrollY} ${families}${adopted(node as Document)}`,
      );
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      const element = node as Element;
      // Its own rules, and its own element of them.
      if (element.localName === 'style' && mirror.getId(node) === -1) return;
      // The text of an inline style, or an empty one, tells whether something was set that is gone.
      const { cssText = '' } = (element as HTMLElement).style ?? {};
      const attributes = Array.from(element.attributes)
        .filter(({ name }) => name !== 'style' || cssText)
        .map(({ name, value }) => ` ${name}=${JSON.stringify(name === 'style' ? cssText : value)}`);
      const isHtml = element.namespaceURI === 'http://www.w3.org/1999/xhtml';
      add(`<${isHtml ? '' : 'other:'}${element.nodeName}${attributes.sort().join('')}>${stateOf(element)}`);
      if (element.localName === 'style') {
        lines.push(`${' '.repeat(depth + 1)}${JSON.stringify(element.textContent)}`);
        return void lines.push(`${' '.repeat(depth + 1)}{${rulesOf((element as HTMLStyleElement).sheet)}}`);
      }
      const { shadowRoot } = element;
      if (shadowRoot) {
        lines.push(`${' '.repeat(depth + 1)}shadow root${adopted(shadowRoot)}`);
        for (const child of shadowRoot.childNodes) visit(child, depth + 2);
      }
      const inner = element.localName === 'iframe' && (element as HTMLIFrameElement).contentDocument;
      if (inner) visit(inner, depth + 1);
    } else add(`${node.nodeType} ${JSON.stringify(node.nodeValue)}`);
    for (const child of node.childNodes) visit(child, depth + 1);
  };
  visit(replayer.iframe.contentDocument!, 0);
  return lines;
}
