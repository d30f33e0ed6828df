import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * What we change in rrweb's recorder at build time, and why. Every change names the text it expects, exactly and
 * once; where upstream's text has moved the build fails, and someone looks.
 */
export const UPSTREAM = { name: '@rrweb/record', version: '2.1.6' };

/** Replaces `find`, or everything from `find` to before `until`. */
export interface Change {
  why: string;
  find: string;
  until?: string;
  put: string;
  /** How often the text stands there. */
  times?: number;
}

/** Called from the changed text; see `masking.ts`. */
const HOOKS = 'rrHooks';

const PRIVACY: Change[] = [
  {
    why: 'each attribute passes our masks and the URL scrubber when an element is serialised',
    find: `      attributes[attr.name] = transformAttribute(
        doc,
        tagName,
        toLowerCase(attr.name),
        attr.value
      );`,
    put: `      const masked = ${HOOKS}.maskAttribute(n, toLowerCase(attr.name), attr.value);
      if (masked !== null)
        attributes[attr.name] = transformAttribute(doc, tagName, toLowerCase(attr.name), masked);`,
  },
  {
    why: 'the same when an attribute changes',
    find: `            item.attributes[attributeName] = transformAttribute(
              this.doc,
              tagNameLower,
              toLowerCase(attributeName),
              value
            );`,
    put: `            item.attributes[attributeName] = transformAttribute(
              this.doc,
              tagNameLower,
              toLowerCase(attributeName),
              ${HOOKS}.maskAttribute(target, toLowerCase(m.attributeName), value)
            );`,
  },
  {
    why: 'texts are masked inside editable elements also across shadow roots and after contenteditable is taken away',
    find: 'function needMaskingText(node, maskTextClass, maskTextSelector, checkAncestors) {\n',
    until: 'function onceIframeLoaded(',
    put: `function needMaskingText(node, _class, _selector, checkAncestors) {
  return ${HOOKS}.isTextMasked(node, checkAncestors);
}
`,
  },
  {
    why: 'block looks at ancestors, also across shadow roots, for every kind of event',
    find: 'function isBlocked(node, blockClass, blockSelector, checkAncestors) {\n',
    until: 'function isSerialized(',
    put: `function isBlocked(node) {
  return ${HOOKS}.isBlocked(node);
}
`,
  },
  {
    why: 'the same in a snapshot',
    find: 'function _isBlockedElement(element, blockClass, blockSelector) {\n',
    until: 'function classMatchesRegex(',
    put: `function _isBlockedElement(element) {
  return ${HOOKS}.isBlocked(element);
}
`,
  },
  {
    why: 'block holds for what is inside a frame, too',
    find: '  if (serializedNode.type === NodeType.Element && serializedNode.tagName === "iframe") {',
    put: `  if (serializedNode.type === NodeType.Element && serializedNode.tagName === "iframe" && !${HOOKS}.isBlocked(n)) {`,
  },
  {
    why: 'that a field once was a password is remembered in our memory, not by an attribute in the visited page',
    find: 'target.setAttribute("data-rr-is-password", "true");',
    put: `${HOOKS}.rememberSecret(target);`,
  },
  {
    why: 'how far a field is scrolled tells the length of what it holds',
    find: '  if (!newlyAddedElement) {\n    if (n.scrollLeft) {',
    put: `  if (!newlyAddedElement && !${HOOKS}.isScrollMasked(n)) {\n    if (n.scrollLeft) {`,
  },
];

const SIZE: Change[] = [
  {
    why: 'canvases are not recorded: their observers and the worker are a fifth of the bundle',
    find: 'var chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";\nvar lookup',
    until: 'class StylesheetManager {',
    put: `class CanvasManager {
  reset() {}
  freeze() {}
  unfreeze() {}
  lock() {}
  unlock() {}
}
`,
  },
  {
    why: 'canvases and inlined images are not recorded: nor are they in a snapshot',
    find: '  if (tagName === "canvas" && recordCanvas) {',
    until: '  if (["audio", "video"].includes(tagName)) {',
    put: '',
  },
  {
    why: 'only the snapshot of a canvas needs it',
    find: 'function is2DCanvasBlank(canvas) {',
    until: 'function getInputType(element) {',
    put: '',
  },
  {
    why: 'cross-origin frames are not recorded: nothing translates their ids',
    find: 'class CrossOriginIframeMirror {',
    until: 'class IframeManager {',
    put: '',
  },
  {
    why: 'cross-origin frames are not recorded: no messages of theirs are read',
    find: '  handleMessage(message) {',
    until: 'class ShadowDomManager {',
    put: '}\n',
  },
  {
    why: 'cross-origin frames are not recorded: no mirror of theirs is made',
    find: '    __publicField(this, "crossOriginIframeMirror", new CrossOriginIframeMirror(genId));\n',
    put: '',
  },
  {
    why: 'cross-origin frames are not recorded: nor one of their style sheets',
    find: '    this.crossOriginIframeStyleMirror = new CrossOriginIframeMirror(',
    until: '    this.mirror = options.mirror;\n    if (this.recordCrossOriginIframes) {',
    put: '',
  },
  {
    why: 'cross-origin frames are not recorded: nobody listens',
    find: `    if (this.recordCrossOriginIframes) {
      window.addEventListener("message", this.handleMessage.bind(this));
    }
`,
    put: '',
  },
  {
    why: 'cross-origin frames are not recorded: nobody listens inside frames either',
    find: `    if (this.recordCrossOriginIframes)
      (_a2 = iframeEl.contentWindow) == null ? void 0 : _a2.addEventListener(
        "message",
        this.handleMessage.bind(this)
      );
`,
    put: '',
  },
  {
    why: 'fonts made by script are not recorded',
    find: 'function initFontObserver({ fontCb, doc }) {',
    until: 'function initSelectionObserver(',
    put: '',
  },
  {
    why: 'fonts made by script are not recorded: nobody observes them',
    find: `    if (o.collectFonts) {
      fontObserver = initFontObserver(o);
    }
`,
    put: '',
  },
  {
    why: 'a class of the replayer that record does not use',
    find: 'class BaseRRNode {',
    until: 'function on(type, fn, target = document) {',
    put: '',
  },
  {
    why: 'warns users of an interface that no longer exists',
    find: 'const DEPARTED_MIRROR_ACCESS_WARNING',
    until: 'function throttle(',
    put: '',
  },
  {
    why: 'a class of the replayer that record does not use: nor is a node asked whether it is one',
    find: `  if (n instanceof BaseRRNode && "shadowRoot" in n) {
    return Boolean(n.shadowRoot);
  }
`,
    put: '',
  },
  {
    why: 'we always take the slimmest document: one rule in place of a table of options',
    find: 'function slimDOMDefaults(_slimDOMOptions) {',
    until: 'function serializeNodeWithId(',
    put: `function slimDOMDefaults() {
  return { headWhitespace: true, headTitleMutations: true };
}
function slimDOMExcluded(sn) {
  const { tagName, attributes } = sn;
  return sn.type === 5 || sn.type === 2 && (tagName === "script" || tagName === "meta" ||
    tagName === "link" && /preload|prefetch|icon/.test(attributes.rel));
}
`,
  },
  {
    why: 'we give no hooks to wrap each callback in',
    find: 'function mergeHooks(o, hooks) {',
    until: 'function initObservers(',
    put: '',
  },
  {
    why: 'we give no hooks: nothing is wrapped',
    find: '  mergeHooks(o, hooks);\n',
    put: '',
  },
  {
    why: 'the browsers that lack it lack our build target, too',
    find: 'function polyfill(win = window) {',
    until: 'function isSerializedIframe(',
    put: '',
  },
  {
    why: 'the polyfill is gone',
    find: '  polyfill();\n',
    put: '',
  },
  {
    why: 'we always record in the frame that we run in, and never into its parent',
    find: '  const inEmittingFrame = recordCrossOriginIframes',
    until: '  if (mousemoveWait !== void 0',
    put: '',
  },
  {
    why: 'events go to us as they are, and snapshots come when we ask',
    find: '    if (inEmittingFrame) {',
    until: '  const wrappedMutationEmit',
    put: '    emit(e, isCheckout);\n  };\n',
  },
  {
    why: 'no plugin and no packing changes an event',
    find: '  let lastFullSnapshotEvent;\n',
    until: '  wrappedEmit = (r, isCheckout) => {',
    put: '',
  },
  {
    why: 'there are no plugins that want a mirror',
    find: '  for (const plugin of plugins || []) {\n    if (plugin.getMirror)',
    until: '  const processedNodeManager',
    put: '',
  },
  {
    why: 'there are no plugins that observe',
    find: '          plugins: ((_a2 =',
    until: '        },\n        hooks\n',
    put: '          plugins: []\n',
  },
  {
    why: 'all inputs are masked by our own list',
    find: '  mirror.reset();\n  const maskInputOptions',
    until: '  const slimDOMOptions = slimDOMDefaults(_slimDOMOptions);',
    put: '  mirror.reset();\n  const maskInputOptions = _maskInputOptions;\n',
  },
  {
    why: 'the same in a snapshot',
    find: '    keepIframeSrcFn = () => false\n  } = options;\n',
    until: '  const slimDOMOptions = slimDOMDefaults(slimDOM);',
    put: '    keepIframeSrcFn = () => false\n  } = options;\n  const maskInputOptions = maskAllInputs;\n',
  },
];

/** @throws Error naming the change whose text is not there as often as it should be */
export function applyChanges(source: string, changes: Change[]): string {
  for (const { why, find, until, put, times = 1 } of changes) {
    const count = source.split(find).length - 1;
    if (count !== times)
      throw new Error(
        `${UPSTREAM.name} has moved: "${find.slice(0, 80)}" stands there ${count} times (${why})`,
      );
    const from = source.indexOf(find);
    const to = until === undefined ? from + find.length : source.indexOf(until, from);
    if (to < 0) throw new Error(`${UPSTREAM.name} has moved: no "${until}" after "${find}" (${why})`);
    source = source.slice(0, from) + put + source.slice(to);
  }
  return source;
}

/** Enums become the numbers they stand for, and definitions of fields become assignments: both compress to less. */
export function compact(source: string): string {
  for (const name of ['EventType', 'IncrementalSource', 'NodeType', 'MediaInteractions', 'PointerTypes']) {
    const numbers = new Map(
      Array.from(source.matchAll(new RegExp(`${name}2\\["(\\w+)"\\] = (\\d+)`, 'g')), ([, key, n]) => [
        key!,
        n!,
      ]),
    );
    if (!numbers.size) throw new Error(`${UPSTREAM.name} has moved: no enum ${name}`);
    source = source.replace(
      new RegExp(`\\b${name}\\.(\\w+)`, 'g'),
      (whole, key: string) => numbers.get(key) ?? whole,
    );
  }
  return source
    .replace(/__publicField\(this, "(\w+)"\);/g, 'this.$1 = void 0;')
    .replace(/__publicField\(this, "(\w+)", /g, 'this.$1 = (');
}

/** A Vite plugin. @throws Error at build when the installed version is another */
export function rrwebTransforms(): {
  name: string;
  transform(code: string, id: string): { code: string; map: null } | undefined;
} {
  return {
    name: 'rrweb-transforms',
    transform(code, id) {
      if (!id.replaceAll('\\', '/').endsWith('@rrweb/record/dist/record.js')) return undefined;
      const folder = dirname(dirname(createRequire(import.meta.url).resolve(UPSTREAM.name)));
      const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
        version: string;
      };
      if (version !== UPSTREAM.version)
        throw new Error(`${UPSTREAM.name} is ${version}; the changes were made for ${UPSTREAM.version}`);
      const hooks = JSON.stringify(join(import.meta.dirname, 'masking.ts'));
      const changed = compact(applyChanges(code, [...PRIVACY, ...SIZE]));
      return { code: `import * as ${HOOKS} from ${hooks};\n${changed}`, map: null };
    },
  };
}
