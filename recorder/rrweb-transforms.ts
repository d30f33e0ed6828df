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
/** The same; see `observers.ts`. */
const OBSERVERS = 'rrObservers';
/** The same; see `recorded-tree.ts`. */
const TREE = 'rrTree';
/** The same; see `states.ts`. */
const STATE_OF = 'rrStateOf';

const PRIVACY: Change[] = [
  {
    why: 'what lies over a text is handed down the tree, and marks inside a masked text count; the rest is ours',
    find: 'function needMaskingText(node, maskTextClass, maskTextSelector, checkAncestors) {\n',
    until: 'function onceIframeLoaded(',
    put: '',
  },
  {
    why: 'each text passes our masks and scrubbers when it is serialised',
    find: '  if (!isStyle && !isScript && textContent2 && needsMask) {',
    until: '  return {\n    type: NodeType.Text,',
    put: `  if (!isScript && textContent2) textContent2 = ${HOOKS}.recordedText(n, textContent2, needsMask);\n`,
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
    why: 'how far a field is scrolled tells the length of what it holds',
    find: '  if (!newlyAddedElement) {\n    if (n.scrollLeft) {',
    put: `  if (!newlyAddedElement && (n.scrollLeft || n.scrollTop) && !${HOOKS}.isScrollMasked(n)) {\n    if (n.scrollLeft) {`,
  },
];

const SIZE: Change[] = [
  {
    why: 'our own list masks: rrweb only has to ask it for fields',
    find: 'function maskInputValue({',
    until: 'function toLowerCase(str) {',
    put: `function maskInputValue({ element, value }) {
  const text = value || "";
  return /^(input|textarea|select)$/i.test(element.tagName) ? maskInputFn(text, element) : text;
}
`,
  },
  {
    why: 'only the snapshot of a canvas needs it',
    find: 'const ORIGINAL_ATTRIBUTE_NAME',
    until: 'function getInputType(element) {',
    put: '',
  },
  {
    why: 'only a preloaded style sheet needs it, and those are not recorded',
    find: 'function extractFileExtension(path, baseURL) {',
    until: 'function extractOrigin(url) {',
    put: '',
  },
  {
    why: 'where a style element has several texts, the browser itself says which rules are of which',
    find: 'function normalizeCssString(cssText, _testNoPxNorm = false) {',
    until: 'let _id = 1;',
    put: `function markCssSplits(cssText, style) {
  try {
    const parts = Array.from(style.childNodes, (text) => {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(text.textContent);
      return absolutifyURLs(stringifyStylesheet(sheet), style.baseURI);
    });
    if (parts.join("") === cssText) return parts.join("/* rr_split */");
  } catch {
  }
  return cssText;
}
`,
  },
  {
    why: 'the same split of srcset in one expression',
    find: 'const SRCSET_NOT_SPACES',
    until: 'const cachedDocument = ',
    put: `const SRCSET_CANDIDATE = /([^\\s,]\\S*?)(?:,(?=\\s|$)|(\\s(?:\\([^)]*\\)?|[^,(])*)(?:,|$)|$)/g;
function getAbsoluteSrcsetString(doc, attributeValue) {
  return Array.from(attributeValue.matchAll(SRCSET_CANDIDATE), ([, url, descriptors = ""]) =>
    (absoluteToDoc(doc, url) + descriptors).trim()).join(", ") || attributeValue;
}
`,
  },
  {
    why: 'style sheets are always inlined',
    find: '  if (tagName === "link" && inlineStylesheet) {',
    put: '  if (tagName === "link") {',
  },
  {
    why: 'which option is chosen is masked, too',
    find: '    if (n.selected && !maskInputOptions["select"]) {\n      attributes.selected = true;\n    } else {\n      delete attributes.selected;\n    }\n',
    put: '    delete attributes.selected;\n',
  },
  {
    why: 'the source of a frame whose document is recorded never is',
    find: ' && !keepIframeSrcFn(attributes.src)',
    put: '',
  },
  {
    why: 'white space of the head is never recorded',
    find: 'slimDOMOptions.headWhitespace && ',
    put: '',
  },
  {
    why: 'canvases and inlined images are not recorded: nor are they in a snapshot',
    find: '  if (tagName === "canvas" && recordCanvas) {',
    until: '  if (["audio", "video"].includes(tagName)) {',
    put: '',
  },
  {
    why: 'we always take the slimmest document: one rule in place of a table of options',
    find: 'function lowerIfExists(maybeAttr) {',
    until: 'function serializeNodeWithId(',
    put: `function slimDOMExcluded(sn) {
  const { tagName, attributes } = sn;
  return sn.type === 5 || sn.type === 2 && (tagName === "script" || tagName === "meta" ||
    tagName === "link" && /preload|prefetch|icon/.test(attributes.rel));
}
`,
  },
  {
    why: 'which fields are masked is not for options to say',
    find: '    keepIframeSrcFn = () => false\n  } = options;\n  const maskInputOptions',
    until: '  return serializeNodeWithId(n, {\n    doc: n,',
    put: '  } = options;\n',
  },
  {
    why: 'we never record the title of the document by mutations',
    find: 'function isIgnored(n, mirror2, slimDOMOptions) {',
    until: 'function isAncestorRemoved(',
    put: `function isIgnored(n) {
  return n.tagName === "TITLE" || mirror.getId(n) === IGNORED_NODE;
}
`,
  },
  {
    why: 'only the replayer looks style sheets up by their numbers',
    find: 'class StyleSheetMirror {',
    until: 'function getShadowHost(n) {',
    put: `class StyleSheetMirror {
  constructor() {
    this.reset();
  }
  reset() {
    this.styleIDMap = new WeakMap();
    this.nextStyleId = 1;
  }
  getId(stylesheet) {
    return this.styleIDMap.get(stylesheet) ?? -1;
  }
  add(stylesheet) {
    this.styleIDMap.set(stylesheet, this.nextStyleId);
    return this.nextStyleId++;
  }
}
`,
  },
  {
    why: 'there always is an error handler',
    find: 'let errorHandler;\nfunction registerErrorHandler(handler) {',
    until: 'const mutationBuffers = [];',
    put: `let errorHandler;
const callbackWrapper = (cb) => (...rest) => {
  try {
    return cb(...rest);
  } catch (error) {
    errorHandler(error);
  }
};
`,
  },
  {
    why: 'our observers tell the same in a quarter of the bytes, and throw at the page what the page should catch',
    find: 'function getEventTarget(event) {',
    until: 'class CrossOriginIframeMirror {',
    put: `function initObservers({ doc }) {
  if (!doc.defaultView) return () => {};
  ${TREE}.observe(doc, scene, callbackWrapper);
  const stop = ${OBSERVERS}.observeDocument(doc, scene);
  return callbackWrapper(() => {
    if (doc === document) {
      ${TREE}.disconnect();
      shadowDomManager.reset();
    }
    stop();
  });
}
`,
  },
  {
    why: 'neither cross-origin frames nor canvases are recorded by rrweb; what is left of its managers is this',
    find: 'class CrossOriginIframeMirror {',
    until: 'class ProcessedNodeManager {',
    put: `class ShadowRoots {
  constructor() {
    this.restoreHandlers = [];
    this.init();
  }
  init() {
    this.reset();
    this.patchAttachShadow(Element);
  }
  addShadowRoot(shadowRoot2) {
    if (this.shadowDoms.has(shadowRoot2) || !isNativeShadowDom(shadowRoot2)) return;
    this.shadowDoms.add(shadowRoot2);
    ${TREE}.observe(shadowRoot2, scene, callbackWrapper);
    this.restoreHandlers.push(${OBSERVERS}.observeScroll(shadowRoot2, scene));
    setTimeout(callbackWrapper(() => {
      stylesheetManager.adoptStyleSheets(shadowRoot2.adoptedStyleSheets ?? [], mirror.getId(shadowRoot2.host));
      this.restoreHandlers.push(${OBSERVERS}.observeAdopted(shadowRoot2, scene));
    }));
  }
  patchAttachShadow({ prototype }) {
    this.restoreHandlers.push(${OBSERVERS}.patch(prototype, "attachShadow", (call, host) => {
      const root = call();
      callbackWrapper(() => shadowOf(host) && host.isConnected && this.addShadowRoot(root))();
      return root;
    }));
  }
  reset() {
    this.restoreHandlers.forEach((handler) => callbackWrapper(handler)());
    this.restoreHandlers = [];
    this.shadowDoms = new WeakSet();
  }
}
class StyleSheets {
  constructor() {
    this.styleMirror = new StyleSheetMirror();
    this.hosts = new Set();
  }
  adoptStyleSheets(sheets, hostId) {
    // Only where sheets were told, it tells something that none are left.
    if (hostId < 0 || !sheets.length && !this.hosts.has(hostId)) return;
    this.hosts.add(hostId);
    const styles = [];
    const styleIds = Array.from(sheets, (sheet) => {
      let styleId = this.styleMirror.getId(sheet);
      if (styleId < 0) {
        styleId = this.styleMirror.add(sheet);
        styles.push({
          styleId,
          rules: Array.from(sheet.cssRules, (r, index2) => ({ rule: stringifyRule(r, sheet.href), index: index2 }))
        });
      }
      return styleId;
    });
    tell(15, { id: hostId, styleIds, styles: styles.length ? styles : void 0 });
  }
  reset() {
    this.styleMirror.reset();
  }
}
`,
  },
  {
    why: 'most options are not for us to set, and the others never change (see HOISTED)',
    find: 'let wrappedEmit;\n',
    until: 'try {\n  if (Array.from([1]',
    put: `let wrappedEmit;
let takeFullSnapshot;
let recording = false;
let scene;
const tell = (source, data) => wrappedEmit({ type: 3, data: { source, ...data } });
const mutationCb = (m) => tell(0, m);
`,
  },
  {
    why: 'events go to us as they are, and snapshots come when we ask; no plugin, no packing, no parent frame',
    find: 'const mirror = createMirror();\nfunction record(options = {}) {',
    until: '  takeFullSnapshot = (isCheckout = false) => {',
    put: `const mirror = createMirror();
function record(options) {
  const { emit } = options;
  takeOptions(options);
  mirror.reset();
  wrappedEmit = (e) => {
    e.timestamp = Date.now();
    emit(e);
  };
  stylesheetManager = new StyleSheets();
  iframeManager = new Frames();
  processedNodeManager = new ProcessedNodeManager();
  scene = { mirror: mirror, stylesheetManager: stylesheetManager, tell, guard: callbackWrapper, mutations: mutationCb, rescroll: ${TREE}.rescroll };
  shadowDomManager = scene.shadowDomManager = new ShadowRoots();
`,
  },
];

/** Applied after the others: what these replace as a whole, the others may have changed. */
const COST: Change[] = [
  {
    why: 'records the tree in slices, in time proportional to what changed: see recorded-tree.ts',
    find: 'class MutationBuffer {\n',
    until: 'let errorHandler;\n',
    put: `const ${TREE} = createRecordedTree({
  mirror: () => mirror,
  serialize: serializeNodeWithId,
  ignoreAttribute,
  transformAttribute,
  maskInputValue
});
`,
  },
  {
    why: 'nothing inside a block is walked: only whether one begins here is asked',
    find: 'function _isBlockedElement(element) {\n',
    until: 'function classMatchesRegex(',
    put: `function _isBlockedElement(element) {
  return ${HOOKS}.beginsBlock(element);
}
`,
  },
  {
    why: 'an id each is enough: a copy of every attribute and text is memory of the page',
    find: 'class Mirror {\n',
    until: 'function createMirror() {',
    put: `class Mirror {
  constructor() {
    this.reset();
  }
  getId(n) {
    return this.ids.get(n) ?? -1;
  }
  getNode(id) {
    return this.nodes.get(id) || null;
  }
  getMeta(n) {
    return this.ids.has(n);
  }
  has(id) {
    return this.nodes.has(id);
  }
  hasNode(n) {
    return this.ids.has(n);
  }
  add(n, { id }) {
    this.ids.set(n, id);
    if (id > 0) this.nodes.set(id, n);
  }
  forget(n) {
    this.nodes.delete(this.getId(n));
  }
  renew(n) {
    this.forget(n);
    this.ids.delete(n);
  }
  reset() {
    this.nodes = /* @__PURE__ */ new Map();
    this.ids = /* @__PURE__ */ new WeakMap();
  }
}
`,
  },
  {
    why: 'hands on the tree, for what is to be told before the page goes',
    find: 'record.mirror = mirror;\n',
    put: `record.mirror = mirror;\nrecord.tree = ${TREE};\n`,
  },
];

/**
 * Options that rrweb hands from function to function, though for us each has one value while we record: they become
 * variables, and what hands them on goes.
 */
const HOISTED = ['maskInputFn', 'mirror', 'mutationCb', 'shadowDomManager', 'stylesheetManager'];
/** Options that we never set, and what only they need. */
const DROPPED = [
  '_class',
  '_selector',
  'blockClass',
  'blockSelector',
  'canvasManager',
  'dataURLOptions',
  'iframeLoadTimeout',
  'inlineImages',
  'inlineStylesheet',
  'keepIframeSrcFn',
  'maskAllInputs',
  'maskInputOptions',
  'maskTextClass',
  'maskTextFn',
  'maskTextSelector',
  'recordCanvas',
  'slimDOM',
  'slimDOMOptions',
  'styleSheetLoadTimeout',
  'stylesheetLoadTimeout',
];

/** What else can be seen of a page. `recorder/gallery` shows each. */
const FIDELITY: Change[] = [
  {
    why: 'states that no attribute holds: focus, validity, open popovers, indeterminate boxes',
    find: '  if (tagName === "dialog" && n.open) {',
    put: `  const state = ${STATE_OF}(n);
  if (state) attributes["data-rr-state"] = state;
  if (tagName === "dialog" && n.open) {`,
  },
];

/** Applied last, to the text without options: what of it is longer than what it does for us. */
const LEAN: Change[] = [
  {
    why: 'what a page may have replaced is asked in native.ts, for the few things that we ask',
    find: 'const testableAccessors = {\n',
    until: 'function isNativeShadowDom(',
    put: '',
  },
  {
    why: 'our replay runs in browsers that know background-clip',
    find: 'function fixBrowserCompatibilityIssuesInCSS(',
    until: 'function fixSafariColons(',
    put: `function escapeImportStatement({ cssText, href, layerName, supportsText, media }) {
  return cssText.split('"').length < 3 ? cssText : [
    "@import",
    \`url(\${JSON.stringify(href)})\`,
    layerName === "" ? "layer" : layerName && \`layer(\${layerName})\`,
    supportsText && \`supports(\${supportsText})\`,
    media.mediaText
  ].filter(Boolean).join(" ") + ";";
}
function stringifyStylesheet(s) {
  try {
    const base = s.href || s.ownerNode?.baseURI;
    return Array.from(s.cssRules, (rule) => stringifyRule(rule, base)).join("");
  } catch {
    return null;
  }
}
function stringifyRule(rule, base) {
  let { cssText } = rule;
  if (isCSSImportRule(rule)) {
    base = rule.styleSheet?.href;
    cssText = stringifyStylesheet(rule.styleSheet) || escapeImportStatement(rule);
  } else if (rule.selectorText?.includes(":")) cssText = fixSafariColons(cssText);
  return base ? absolutifyURLs(cssText, base) : cssText;
}
`,
  },
  {
    why: 'the browser itself says which address is meant',
    find: 'function extractOrigin(url) {',
    until: 'function markCssSplits(',
    put: `const URL_IN_CSS = /url\\((?:(')([^']*)'|(")(.*?)"|([^)]*))\\)/g;
const absolutify = (url, base) => {
  try {
    return new URL(url, base).href;
  } catch {
    return url;
  }
};
function absolutifyURLs(cssText, base) {
  return (cssText || "").replace(URL_IN_CSS, (whole, quote1, path1, quote2, path2, path3) => {
    const path = path1 || path2 || path3;
    const quote = quote1 || quote2 || "";
    return !path || /^(#|data:|www\\.|([a-z+]+:)?\\/\\/)/i.test(path) ? whole : \`url(\${quote}\${absolutify(path, base)}\${quote})\`;
  });
}
`,
  },
  {
    why: 'the same for attributes',
    find: 'const cachedDocument = ',
    until: 'function transformAttribute(',
    put: `const absoluteToDoc = (doc, value) => !value.trim() || /^(blob|data):/.test(value) ? value : absolutify(value, doc.baseURI);
`,
  },
  {
    why: 'one line for each attribute that is an address',
    find: '  if (name === "src" || name === "href" && ',
    until: 'function ignoreAttribute(',
    put: `  if (name === "srcset") return getAbsoluteSrcsetString(doc, value);
  if (name === "style") return absolutifyURLs(value, doc.baseURI);
  return name === "src" ||
    name === "href" && !(tagName === "use" && value[0] === "#") ||
    name === "xlink:href" && value[0] !== "#" ||
    name === "background" && /^t(able|d|h)$/.test(tagName) ||
    name === "data" && tagName === "object" ? absoluteToDoc(doc, value) : value;
}
`,
  },
  {
    why: 'frames and style sheets are waited for alike; and of a node we tell what we tell, in fewer words',
    find: 'function classMatchesRegex(',
    until: 'function serializeElementNode(',
    put: `function onceLoaded(element, listener) {
  const timer = setTimeout(listener, 5e3);
  element.addEventListener("load", () => {
    clearTimeout(timer);
    listener();
  });
}
function onceIframeLoaded(iframe, listener) {
  let href, isComplete;
  try {
    const { document: doc, location } = iframe.contentWindow;
    isComplete = doc.readyState === "complete";
    ({ href } = location);
  } catch {
    return;
  }
  if (!isComplete) return onceLoaded(iframe, listener);
  iframe.addEventListener("load", listener);
  // Where it is about to go elsewhere, what is there now is not its document.
  if (href !== "about:blank" || /^(about:blank)?$/.test(iframe.src)) setTimeout(listener);
}
function serializeNode(n, options) {
  const { doc, newlyAddedElement } = options;
  const docId = mirror.getId(doc);
  const rootId = docId > 1 ? docId : void 0;
  switch (n.nodeType) {
    case 9:
      return { type: 0, childNodes: [], compatMode: n.compatMode === "CSS1Compat" ? void 0 : n.compatMode };
    case 10:
      return { type: 1, name: n.name, publicId: n.publicId, systemId: n.systemId, rootId };
    case 1:
      return serializeElementNode(n, { doc, newlyAddedElement, rootId });
    case 3:
      return { type: 3, textContent: textOf(n, options), rootId };
    case 4:
      return { type: 4, textContent: "", rootId };
    case 8:
      return { type: 5, textContent: "", rootId };
  }
}
function textOf(n, { doc, needsMask, cssCaptured }) {
  const tag = parentOf(n)?.nodeName;
  if (tag === "SCRIPT") return "SCRIPT_PLACEHOLDER";
  const text = cssCaptured ? "" : tag === "STYLE" ? absolutifyURLs(n.data, doc.baseURI) : n.data;
  return text && ${HOOKS}.recordedText(n, text, needsMask);
}
`,
  },
  {
    why: 'the same of an element',
    find: '  let attributes = {};\n  const len = ',
    until: '  if (tagName === "option") {',
    put: `  let attributes = {};
  // A list of attributes would make an object of each, which stays with the element.
  for (const name of n.getAttributeNames()) {
    const value = n.getAttribute(name);
    if (ignoreAttribute(tagName, name, value)) continue;
    const lower = toLowerCase(name);
    const masked = ${HOOKS}.maskAttribute(n, lower, transformAttribute(doc, tagName, lower, value), cover);
    if (masked !== null) attributes[name] = masked;
  }
  if (tagName === "link") {
    const sheet = Array.from(doc.styleSheets).find(({ href }) => href === n.href);
    const cssText = sheet && stringifyStylesheet(sheet);
    if (cssText) {
      delete attributes.rel;
      delete attributes.href;
      attributes._cssText = ${HOOKS}.scrubCss(cssText);
    }
  }
  if (tagName === "style" && n.sheet) {
    const cssText = stringifyStylesheet(n.sheet);
    if (cssText) attributes._cssText = ${HOOKS}.scrubCss(n.childNodes.length > 1 ? markCssSplits(cssText, n) : cssText);
  }
  if (/^(input|textarea|select)$/.test(tagName)) {
    const { value, checked } = n;
    if (!/^(radio|checkbox|submit|button)$/.test(attributes.type) && value)
      attributes.value = maskInputValue({ element: n, value });
    else if (checked) attributes.checked = checked;
  }
`,
  },
  {
    why: 'one use each: an SVG element, and whether it is a custom one',
    find: '  let isCustomElement;\n',
    until: 'function slimDOMExcluded(',
    put: `  return {
    type: 2,
    tagName,
    attributes,
    childNodes: [],
    isSVG: tagName === "svg" || !!n.ownerSVGElement || void 0,
    needBlock,
    rootId,
    isCustom: tagName.includes("-") && !!customElements.get(tagName) || void 0
  };
}
`,
  },
  {
    why: 'the same of media',
    find: '  if (["audio", "video"].includes(tagName)) {\n    const mediaAttributes',
    until: '  if (!newlyAddedElement && ',
    put: `  if (/^(audio|video)$/.test(tagName)) Object.assign(attributes, {
    rr_mediaState: n.paused ? "paused" : "played",
    rr_mediaCurrentTime: n.currentTime,
    rr_mediaPlaybackRate: n.playbackRate,
    rr_mediaMuted: n.muted,
    rr_mediaLoop: n.loop,
    rr_mediaVolume: n.volume
  });
`,
  },
  {
    why: 'what is not told needs no words; and what hears of a node is here',
    find: 'function serializeNodeWithId(n, options) {',
    until: 'function isBlocked(node) {',
    put: `function serializeNodeWithId(n, options) {
  const { doc, preserveWhiteSpace } = options;
  const needsMask = cover = options.needsMask = ${HOOKS}.coverOf(n, options.needsMask);
  const serialized = serializeNode(n, options);
  if (!serialized) return null;
  const { type, tagName, attributes } = serialized;
  let id = mirror.getId(n);
  if (id < 0)
    id = slimDOMExcluded(serialized) || !preserveWhiteSpace && type === 3 && !serialized.textContent.trim() ? IGNORED_NODE : genId();
  serialized.id = id;
  mirror.add(n, serialized);
  if (id === IGNORED_NODE) return null;
  const parent = parentOf(n);
  if (parent?.nodeType === 11 && isNativeShadowDom(parent)) serialized.isShadow = true;
  if (type !== 2) return serialized;
  const root = shadowOf(n);
  if (root) {
    shadowDomManager.addShadowRoot(root);
    if (isNativeShadowDom(root)) serialized.isShadowHost = true;
  }
  if (tagName === "iframe" && !${HOOKS}.isBlocked(n)) onceIframeLoaded(n, () => ${TREE}.attach(n));
  if (tagName === "link" && attributes.rel === "stylesheet" && !n.sheet)
    onceLoaded(n, () => {
      const again = serializeNodeWithId(n, { doc, needsMask, preserveWhiteSpace });
      if (again && "_cssText" in again.attributes) mutationCb({ ...NO_CHANGE, attributes: [{ id: again.id, attributes: again.attributes }] });
    });
  return serialized;
}
`,
  },
  {
    why: 'all that is asked of these is asked elsewhere, or of the browser',
    find: 'function isBlocked(node) {\n',
    until: 'class StyleSheetMirror {',
    put: '',
  },
  {
    why: 'the browser knows what is connected',
    find: 'function getShadowHost(n) {',
    until: `const ${TREE} = `,
    put: '',
  },
  {
    why: 'buffers are gone',
    find: 'const mutationBuffers = [];\n',
    put: 'let cover;\nconst NO_CHANGE = { adds: [], removes: [], texts: [], attributes: [] };\n',
  },
  {
    why: 'no buffers, no polyfill of 2009; what is left of starting and stopping',
    find: 'class ProcessedNodeManager {',
    until: 'record.mirror = mirror;\n',
    put: `let send;
let scene;
let handlers;
let framesObserved;
const tell = (source, data) => send(3, { source, ...data });
const mutationCb = (m) => tell(0, m);
const mirror = createMirror();
const adopt = (doc) => doc.adoptedStyleSheets?.length && stylesheetManager.adoptStyleSheets(doc.adoptedStyleSheets, mirror.getId(doc));
function onIframeLoad(iframe, node) {
  const { contentDocument: doc, contentWindow } = iframe;
  mutationCb({ ...NO_CHANGE, adds: [{ parentId: mirror.getId(iframe), nextId: null, node }], isAttachIframe: true });
  if (!framesObserved.has(doc)) {
    framesObserved.add(doc);
    callbackWrapper(() => handlers.push(initObservers({ doc })))();
  }
  adopt(doc);
  shadowDomManager.patchAttachShadow(contentWindow.Element);
}
function takeFullSnapshot() {
  send(4, { href: location.href, width: innerWidth, height: innerHeight });
  stylesheetManager.reset();
  shadowDomManager.init();
  const node = ${TREE}.snapshot(document, { onIframeLoad });
  send(2, { node, initialOffset: ${OBSERVERS}.scrollOf(window) });
  adopt(document);
}
function record(options) {
  takeOptions(options);
  mirror.reset();
  send = (type, data) => options.emit({ type, data, timestamp: Date.now() });
  handlers = [];
  framesObserved = new WeakSet();
  stylesheetManager = new StyleSheets();
  scene = { mirror, stylesheetManager, tell, guard: callbackWrapper, mutations: mutationCb, rescroll: ${TREE}.rescroll };
  shadowDomManager = scene.shadowDomManager = new ShadowRoots();
  takeFullSnapshot();
  handlers.push(initObservers({ doc: document }));
  return () => handlers.forEach((handler) => callbackWrapper(handler)());
}
record.takeFullSnapshot = takeFullSnapshot;
`,
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
    if (times > 1) {
      source = source.replaceAll(find, () => put);
      continue;
    }
    const from = source.indexOf(find);
    const to = until === undefined ? from + find.length : source.indexOf(until, from);
    if (to < 0) throw new Error(`${UPSTREAM.name} has moved: no "${until}" after "${find}" (${why})`);
    source = source.slice(0, from) + put + source.slice(to);
  }
  return source;
}

/** Enums become the numbers they stand for, and definitions of fields become assignments: both compress to less. */
export function compact(source: string): string {
  for (const name of ['EventType', 'IncrementalSource', 'NodeType']) {
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
  return foldOptions(
    source
      .replace(/__publicField\(this, "(\w+)"\);/g, 'this.$1 = void 0;')
      .replace(/__publicField\(this, "(\w+)", /g, 'this.$1 = ('),
  );
}

/** @throws Error naming an option of DROPPED that something still asks for */
function foldOptions(source: string): string {
  const names = `(?:${[...HOISTED, ...DROPPED].join('|')}|mirror2)`;
  const folded = source
    // A property of an object or a pattern, or an argument, on a line of its own.
    .replace(new RegExp(`^\\s+(?:this\\.)?${names}(?:: (?:this\\.)?\\w+)?(?: = [^\\n;]*)?,?\\n`, 'gm'), '')
    .replace(new RegExp(`^\\s+this\\.${names} = void 0;\\n`, 'gm'), '')
    .replace(/^\s+this\.canvasManager\.\w+\(\);\n/gm, '')
    .replace(/^\s+type: getInputType\(\w+\),\n/gm, '')
    // An argument or a parameter that is not the first.
    .replace(new RegExp(`, (?:this\\.)?${names}(?=[,)])`, 'g'), '')
    .replace(/\bmirror2\b/g, 'mirror')
    .replace(new RegExp(`\\bthis\\.(${names})\\b`, 'g'), '$1');
  for (const name of DROPPED)
    if (new RegExp(`\\b${name}\\b`).test(folded)) throw new Error(`something still asks for ${name}`);
  const variables = HOISTED.filter((name) => name !== 'mirror' && name !== 'mutationCb');
  return `let ${variables.join(', ')};
const takeOptions = (options) => ({ errorHandler, maskInputFn } = options);
${folded}`;
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
      const path = (name: string): string => JSON.stringify(join(import.meta.dirname, name));
      const imports = `import * as ${HOOKS} from ${path('masking.ts')};
import * as ${OBSERVERS} from ${path('observers.ts')};
import { createRecordedTree } from ${path('recorded-tree.ts')};
import { parentOf, shadowOf } from ${path('native.ts')};
import { stateOf as ${STATE_OF} } from ${path('states.ts')};
`;
      // SIZE first: what it takes away cannot take a mask with it unnoticed. LEAN has the masks in its own texts.
      return {
        code:
          imports +
          applyChanges(compact(applyChanges(code, [...SIZE, ...PRIVACY, ...COST, ...FIDELITY])), LEAN),
        map: null,
      };
    },
  };
}
