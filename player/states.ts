import { EventType, IncrementalSource } from '#protocol';

/** What the recorder tells of an element that no attribute holds, as words: see `recorder/states.ts`. */
const STATE = 'data-rr-state';

/** In every replayed document, before its own: what a browser draws by itself. */
export const STATE_RULES = [
  `:where([${STATE}~=focus-visible]) { outline: auto 1px -webkit-focus-ring-color }`,
  // Where scripts are off, browsers show the controls of every video.
  'video:not([controls])::-webkit-media-controls { display: none !important }',
];

interface Replaying {
  iframe: HTMLIFrameElement;
  getMirror(): { getNode(id: number): Node | null };
}

/** A plugin of rrweb's replayer: puts elements into the states that were told, once they stand in the document. */
export function restoreStates(): {
  onBuild(node: unknown): void;
  handler(event: { type: number; data: unknown }, isSync: boolean, context: { replayer: Replaying }): void;
} {
  let built: Element[] = [];
  return {
    onBuild(node) {
      if ((node as Element).getAttribute?.(STATE)) built.push(node as Element);
    },
    handler({ type, data }, _isSync, { replayer }) {
      for (const element of built.splice(0)) restore(element);
      if (type !== EventType.incrementalSnapshot) return;
      const { source, attributes, define } = data as {
        source: number;
        attributes?: { id: number; attributes: Record<string, unknown> }[];
        define?: { name: string };
      };
      if (source === IncrementalSource.mutation)
        for (const { id, attributes: changed } of attributes ?? []) {
          const node = STATE in changed && replayer.getMirror().getNode(id);
          if (node) restore(node as Element);
        }
      if (source === IncrementalSource.customElement && define) defineLate(replayer, define.name);
    },
  };
}

/** What is built after it is defined by rrweb; this is for what stands there already. */
function defineLate({ iframe }: Replaying, name: string): void {
  const page = iframe.contentWindow as (Window & typeof globalThis) | null;
  if (page && !page.customElements.get(name))
    page.customElements.define(name, class extends page.HTMLElement {});
}

function restore(element: Element): void {
  const states = element.getAttribute(STATE)?.split(' ') ?? [];
  if (element.localName === 'input')
    (element as HTMLInputElement).indeterminate = states.includes('indeterminate');
  if (!element.hasAttribute('popover') || !element.isConnected) return;
  const isOpen = element.matches(':popover-open');
  if (isOpen === states.includes('popover-open')) return;
  if (isOpen) (element as HTMLElement).hidePopover();
  else (element as HTMLElement).showPopover();
}
