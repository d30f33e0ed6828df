import { isCardNumber } from '../scrub.ts';

/**
 * A page with secrets, each in a place and with a marker of its own: what of it reaches the wire tells which leaks.
 */
export type Group = 'fields' | 'passwords' | 'urls' | 'attributes' | 'text' | 'events';
export interface Place {
  group: Group;
  name: string;
  /** Any of these on the wire is a leak. */
  needles: string[];
  head?: string;
  body?: string;
  /** Typed by keys into what the selector finds, if need be in the frame of that id. */
  type?: { selector: string; text: string; frame?: string };
  /** Run in the page once it is recorded. */
  script?: string;
}
/** No secret: a recorder that sends not even these sends nothing. */
export const CONTROL = { text: 'publicparagraph', className: 'publicclass' };
/** The pictures, frames and scripts that the page names stand under this path, and answer whatever the query is. */
export const FILES = '/files';

const CONSONANTS = 'bcdfghjklmnprstv';
const marker = (index: number): string => `qz${CONSONANTS[index >> 4]}u${CONSONANTS[index & 15]}ovik`;

/** The forms that a secret has in life, around its marker. */
class Secret {
  readonly word: string;
  private readonly index: number;
  constructor(index: number) {
    this.index = index;
    this.word = marker(index);
  }
  get person(): string {
    return `Annika ${this.word[0]!.toUpperCase()}${this.word.slice(1)}`;
  }
  get email(): string {
    return `${this.word}@mail.example`;
  }
  get token(): string {
    return `a9F3${this.word}7c21D4e8B6`;
  }
  get digits(): string {
    return String(730_154_000 + this.index * 7);
  }
  get card(): string {
    const start = `4539${this.digits}00`;
    const last = [...'0123456789'].find((digit) => isCardNumber(start + digit))!;
    return (start + last).replace(/(....)(?=.)/g, '$1 ');
  }
}

const places: Place[] = [];
function plant(group: Group, name: string, make: (secret: Secret, id: string) => Partial<Place>): void {
  const secret = new Secret(places.length);
  places.push({ group, name, needles: [secret.word], ...make(secret, `p${places.length}`) });
}
const at = (id: string): string => `document.getElementById('${id}')`;

/* Fields: typed, preset, set by scripts. */
for (const type of ['text', 'email', 'search', 'tel', 'url'])
  plant('fields', `${type} field, typed`, (s, id) => ({
    body: `<input id="${id}" type="${type}">`,
    type: { selector: `#${id}`, text: type === 'email' ? s.email : s.word },
  }));
plant('fields', 'number field, typed', (s, id) => ({
  body: `<input id="${id}" type="number">`,
  type: { selector: `#${id}`, text: s.digits },
  needles: [s.digits],
}));
plant('fields', 'date field, set', (_s, id) => ({
  body: `<input id="${id}" type="date">`,
  script: `${at(id)}.value = '1931-07-23'; ${at(id)}.dispatchEvent(new Event('input', { bubbles: true }))`,
  needles: ['1931-07-23'],
}));
plant('fields', 'textarea, typed', (s, id) => ({
  body: `<textarea id="${id}"></textarea>`,
  type: { selector: `#${id}`, text: s.person },
}));
plant('fields', 'contenteditable, typed', (s, id) => ({
  body: `<div id="${id}" contenteditable="true"><p>.</p></div>`,
  type: { selector: `#${id}`, text: s.person },
}));
plant('fields', 'contenteditable that is no more', (s, id) => ({
  body: `<div id="${id}" contenteditable><b>.</b></div>`,
  script: `${at(id)}.removeAttribute('contenteditable'); ${at(id)}.firstChild.textContent = '${s.person}'`,
}));
plant('fields', 'document in design mode, typed', (s) => ({
  body: `<iframe id="design" srcdoc="<p>.</p>"></iframe>`,
  type: { frame: 'design', selector: 'body', text: s.person },
}));
const PRESETS: [name: string, markup: (secret: Secret) => string][] = [
  ['textarea, preset', (s) => `<textarea>${s.person}</textarea>`],
  ['contenteditable, preset', (s) => `<div contenteditable="plaintext-only">${s.person}</div>`],
  ['text box made of divs', (s) => `<div role="textbox" tabindex="0">${s.person}</div>`],
  ['value attribute', (s) => `<input value="${s.person}">`],
  ['hidden field', (s) => `<input type="hidden" name="ref" value="${s.word}">`],
  ['checkbox value', (s) => `<input type="checkbox" value="${s.person}">`],
  ['option text', (s) => `<select><option>.</option><option>${s.person}</option></select>`],
  [
    'data list',
    (s) => `<input list="dl"><datalist id="dl"><option value="${s.person}">${s.person}</option></datalist>`,
  ],
  ['value of a custom element', (s) => `<x-field value="${s.person}"></x-field>`],
  ['output', (s) => `<output>${s.person}</output>`],
];
for (const [name, markup] of PRESETS) plant('fields', name, (s) => ({ body: markup(s) }));
plant('fields', 'radio value, chosen', (s, id) => ({
  body: `<input id="${id}" type="radio" name="r" value="${s.person}"><input type="radio" name="r" value="b">`,
  script: `${at(id)}.click()`,
}));
plant('fields', 'option value, chosen', (s, id) => ({
  body: `<select id="${id}"><option>.</option><option value="${s.word}">x</option></select>`,
  script: `${at(id)}.selectedIndex = 1; ${at(id)}.dispatchEvent(new Event('change', { bubbles: true }))`,
}));
plant('fields', 'value by script', (s, id) => ({
  body: `<input id="${id}">`,
  script: `${at(id)}.value = '${s.person}'`,
}));
plant('fields', 'value attribute by script', (s, id) => ({
  body: `<input id="${id}">`,
  script: `${at(id)}.setAttribute('value', '${s.person}')`,
}));
plant('fields', 'autofill', (s, id) => ({
  body: `<input id="${id}" autocomplete="name">`,
  script: `{ const f = ${at(id)}; f.focus(); f.value = '${s.person}';
    for (const t of ['input', 'change']) f.dispatchEvent(new Event(t, { bubbles: true })) }`,
}));
plant('fields', 'cloned field', (s, id) => ({
  body: `<input id="${id}">`,
  script: `{ const c = ${at(id)}.cloneNode(); c.id += 'c'; c.value = '${s.person}'; document.body.append(c) }`,
}));
plant('fields', 'field inserted later', (s) => ({
  script: `document.body.insertAdjacentHTML('beforeend', '<form><input value="${s.person}"></form>')`,
}));
plant('fields', 'field in a shadow root, typed', (s, id) => ({
  body: `<div id="${id}"><template shadowrootmode="open"><input class="in"></template></div>`,
  type: { selector: `#${id} .in`, text: s.person },
}));
plant('fields', 'field in a frame, typed', (s) => ({
  body: `<iframe id="inner" srcdoc="<input id=in>"></iframe>`,
  type: { frame: 'inner', selector: '#in', text: s.person },
}));
plant('fields', 'name of a file chosen', (s, id) => ({
  body: `<input id="${id}" class="chooser" type="file" data-file="no">`,
  script: `window.chosen = '${s.word}.pdf'`,
}));
plant('fields', 'paste from the clipboard', (s, id) => ({
  body: `<input id="${id}">`,
  script: `{ const f = ${at(id)}, d = new DataTransfer(); d.setData('text/plain', '${s.person}'); f.focus();
    f.dispatchEvent(new ClipboardEvent('paste', { clipboardData: d, bubbles: true }));
    document.execCommand('insertText', false, '${s.person}') }`,
}));

/* Passwords and the like. */
const SECRETS: [name: string, attributes: string][] = [
  ['password, typed', 'type="password"'],
  ['new password in a text field, typed', 'autocomplete="new-password"'],
  ['one-time code, typed', 'autocomplete="one-time-code"'],
  ['card number, typed', 'autocomplete="cc-number"'],
  ['card number by name, typed', 'name="cardNumber"'],
  ['security code, typed', 'name="cvv"'],
  ['secret answer, typed', 'id="secretAnswer"'],
  ['access token, typed', 'name="api_token"'],
];
for (const [name, attributes] of SECRETS)
  plant('passwords', name, (s, id) => ({
    body: `<input class="${id}" ${attributes}>`,
    type: { selector: `.${id}`, text: s.word },
  }));
plant('passwords', 'password, preset', (s) => ({ body: `<input type="password" value="${s.word}">` }));
plant('passwords', 'password by script', (s, id) => ({
  body: `<input id="${id}" type="password">`,
  script: `${at(id)}.value = '${s.word}'; ${at(id)}.dispatchEvent(new Event('change', { bubbles: true }))`,
}));
plant('passwords', 'password made visible', (s, id) => ({
  body: `<input id="${id}" type="password">`,
  type: { selector: `#${id}`, text: s.word },
  script: `${at(id)}.type = 'text'; ${at(id)}.dispatchEvent(new Event('input', { bubbles: true }))`,
}));
plant('passwords', 'password made visible, with a mark to unmask', (s, id) => ({
  body: `<div data-rr-unmask class="rr-unmask"><input id="${id}" type="password"></div>`,
  script: `${at(id)}.type = 'text'; ${at(id)}.value = '${s.word}'; ${at(id)}.setAttribute('value', '${s.word}')`,
}));
plant('passwords', 'password in a shadow root, typed', (s, id) => ({
  body: `<div id="${id}"><template shadowrootmode="open"><input class="pw" type="password"></template></div>`,
  type: { selector: `#${id} .pw`, text: s.word },
}));
plant('passwords', 'password repeated by an attribute', (s, id) => ({
  body: `<div><input id="${id}" type="password" value="${s.word}" title="${s.word}" data-copy="${s.word}"></div>`,
}));

/* URLs. */
const URLS: [name: string, markup: (url: string, id: string) => string][] = [
  ['link', (url) => `<a href="${url}">a</a>`],
  ['image', (url) => `<img src="${url}">`],
  ['image candidates', (url) => `<img srcset="${url} 1x, ${FILES}/b.png 2x">`],
  ['image candidates without blanks', (url) => `<img srcset="${FILES}/c.png 1x,${url} 2x">`],
  ['source', (url) => `<picture><source srcset="${url}"><img></picture>`],
  ['video poster', (url) => `<video poster="${url}"></video>`],
  ['audio', (url) => `<audio src="${url}" preload="none"></audio>`],
  ['frame', (url) => `<iframe src="${url}"></iframe>`],
  ['form action', (url) => `<form action="${url}"></form>`],
  ['form action of a button', (url) => `<button formaction="${url}">b</button>`],
  ['object', (url) => `<object data="${url}"></object>`],
  ['embedded file', (url) => `<embed src="${url}">`],
  ['citation', (url) => `<q cite="${url}">q</q>`],
  ['ping', (url) => `<a ping="${url}" href="#">a</a>`],
  ['SVG image', (url) => `<svg><image href="${url}"/></svg>`],
  ['old SVG link', (url) => `<svg><a xlink:href="${url}"><path/></a></svg>`],
  ['table background', (url) => `<table background="${url}"><tr><td></table>`],
  ['style attribute', (url) => `<div style="background: url('${url}')"></div>`],
  [
    'style by script',
    (url, id) =>
      `<i id="${id}"></i><script>setTimeout(() => ${at(id)}.style.backgroundImage = 'url(${url})', 1500)</script>`,
  ],
];
for (const [name, markup] of URLS)
  plant('urls', `query of a URL: ${name}`, (s, id) => ({ body: markup(`${FILES}/a.png?u=${s.word}`, id) }));
const HEADS: [name: string, markup: (url: string) => string][] = [
  ['style sheet', (url) => `<link rel="stylesheet" href="${url}">`],
  ['canonical link', (url) => `<link rel="canonical" href="${url}">`],
  ['script', (url) => `<script async src="${url}"></script>`],
  ['og:url', (url) => `<meta property="og:url" content="${url}">`],
  ['refresh', (url) => `<meta http-equiv="refresh" content="900;url=${url}">`],
  ['inline style sheet', (url) => `<style>.u1 { background: url(${url}) }</style>`],
  ['import', (url) => `<style>@import "${url}";</style>`],
];
for (const [name, markup] of HEADS)
  plant('urls', `query of a URL: ${name}`, (s) => ({ head: markup(`${FILES}/a.css?u=${s.word}`) }));
plant('urls', 'query of a URL: rule by script', (s) => ({
  head: `<style id="cssom"></style>`,
  script: `${at('cssom')}.sheet.insertRule('.u2 { background: url("${FILES}/a.png?u=${s.word}") }')`,
}));
plant('urls', 'query of a URL: adopted style sheet', (s) => ({
  script: `{ const sheet = new CSSStyleSheet(); sheet.replaceSync('.u3 { background: url("${FILES}/a.png?u=${s.word}") }');
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet] }`,
}));
plant('urls', 'fragment of a link', (s) => ({ body: `<a href="/x#access_token=${s.token}">a</a>` }));
plant('urls', 'user of a link', (s) => ({ body: `<a href="https://${s.word}:pw@site.example/">a</a>` }));
plant('urls', 'token in the path of a link', (s) => ({ body: `<a href="/reset/${s.token}">a</a>` }));
plant('urls', 'e-mail in the path of a link', (s) => ({
  body: `<a href="/u/${encodeURIComponent(s.email)}">a</a>`,
}));
plant('urls', 'mailto', (s) => ({ body: `<a href="mailto:${s.email}">write</a>` }));
plant('urls', 'tel', (s) => ({ body: `<a href="tel:+49${s.digits}">call</a>`, needles: [s.digits] }));
plant('urls', 'javascript', (s) => ({ body: `<a href="javascript:void('${s.person}')">a</a>` }));
plant('urls', 'data', (s) => ({ body: `<a href="data:text/plain,${s.word}">a</a>` }));
plant('urls', 'page address by the History API', (s) => ({
  script: `history.pushState({}, '', location.pathname + '?q=${s.word}#t=${s.word}')`,
}));
plant('urls', 'token in the page address', (s) => ({
  script: `history.pushState({}, '', '/invite/${s.token}')`,
}));
plant('urls', 'query of the first page', (s) => ({ script: `window.firstQuery = '${s.word}'` }));
plant('urls', 'query of the referrer', (s) => ({ script: `window.referrerQuery = '${s.word}'` }));
plant('urls', 'address of a fetch', (s) => ({ script: `fetch('${FILES}/a.json?u=${s.word}')` }));
plant('urls', 'address of an XHR', (s) => ({
  script: `{ const x = new XMLHttpRequest(); x.open('GET', '${FILES}/a.json?u=${s.word}'); x.send() }`,
}));

/* Attributes. */
const ATTRIBUTES: [name: string, markup: (secret: Secret, id: string) => string][] = [
  ['title', (s) => `<div title="${s.person}">t</div>`],
  ['title with an e-mail', (s) => `<button title="Write to ${s.email}">t</button>`],
  ['alt', (s) => `<img alt="${s.person}">`],
  ['aria-label of a region', (s) => `<section aria-label="Orders of ${s.person}">s</section>`],
  ['aria-label of a button', (s) => `<button aria-label="Remove ${s.person}">r</button>`],
  ['aria-description', (s) => `<div aria-description="${s.person}">d</div>`],
  ['aria-valuetext', (s) => `<div role="slider" tabindex="0" aria-valuetext="${s.word}">v</div>`],
  ['placeholder', (s) => `<input placeholder="${s.email}">`],
  ['label of an option group', (s) => `<select><optgroup label="${s.person}"><option>o</optgroup></select>`],
  ['data attribute with a name', (s) => `<div data-label="${s.person}">d</div>`],
  ['data attribute with an e-mail', (s) => `<div data-to="${s.email}">d</div>`],
  ['data attribute with a user name', (s) => `<div data-user="${s.word}">d</div>`],
  ['data attribute with a token', (s) => `<div data-csrf="${s.token}">d</div>`],
  ['data attribute with JSON', (s) => `<div data-props='{"name":"${s.person}"}'>d</div>`],
  ['attribute of a framework', (s) => `<div ng-reflect-model="${s.person}">d</div>`],
  ['attribute of a custom element', (s) => `<x-card full-name="${s.person}">d</x-card>`],
  ['value of data', (s) => `<data value="${s.person}">d</data>`],
  ['customer number in an id', (s) => `<div id="row-${s.digits}">d</div>`],
  ['e-mail in a class', (s) => `<div class="is-${s.email}">d</div>`],
  ['event handler', (s) => `<div onclick="void('${s.person}')">d</div>`],
  ['srcdoc', (s) => `<iframe srcdoc="<p title='${s.person}'>p</p>"></iframe>`],
  ['name of a download', (s) => `<a download="${s.person}.pdf" href="#">d</a>`],
  ['custom property in a style', (s) => `<div style="--who: '${s.person}'">d</div>`],
  ['title of an SVG', (s) => `<svg aria-label="${s.person}"><path/></svg>`],
  ['summary of a table', (s) => `<table summary="${s.person}"><tr><td></table>`],
];
for (const [name, markup] of ATTRIBUTES)
  plant('attributes', name, (s, id) => ({
    body: markup(s, id),
    ...(name.startsWith('customer') && { needles: [s.digits] }),
  }));
for (const name of ['title', 'aria-label', 'data-note', 'alt'])
  plant('attributes', `${name} by script`, (s, id) => ({
    body: `<img id="${id}">`,
    script: `${at(id)}.setAttribute('${name}', '${s.person}')`,
  }));
plant('attributes', 'description of the page', (s) => ({
  head: `<meta name="description" content="${s.person}">`,
}));
plant('attributes', 'CSRF token of the page', (s) => ({ head: `<meta name="csrf" content="${s.token}">` }));

/* Text of the page. */
const TEXTS: [name: string, markup: (secret: Secret) => string][] = [
  ['name in a paragraph', (s) => `<p>Orders of ${s.person}</p>`],
  ['name in an SVG', (s) => `<svg><text y="9">${s.person}</text></svg>`],
  ['e-mail', (s) => `<p>Write to ${s.email}.</p>`],
  ['label of a submit button', (s) => `<input type="submit" value="Go on as ${s.email}">`],
  ['address', (s) => `<address>${s.person}, Long Street 1</address>`],
  ['marked to be masked', (s) => `<p data-rr-mask class="rr-mask">${s.person}</p>`],
  ['marked to be blocked', (s) => `<div data-rr-block class="rr-block">${s.person}</div>`],
  ['noscript', (s) => `<noscript>${s.person}</noscript>`],
  ['template', (s) => `<template>${s.person}</template>`],
  ['comment', (s) => `<!-- ${s.person} -->`],
  ['JSON in a script', (s) => `<script type="application/json">{"n":"${s.person}"}</script>`],
  ['fallback of a canvas', (s) => `<canvas>${s.person}</canvas>`],
];
for (const [name, markup] of TEXTS) plant('text', name, (s) => ({ body: markup(s) }));
plant('text', 'name in the title', (s) => ({ head: `<title>${s.person}</title>` }));
plant('text', 'card number', (s) => ({
  body: `<p>${s.card}</p>`,
  needles: [s.card, s.card.replaceAll(' ', '')],
}));
plant('text', 'IBAN', (s) => ({
  body: `<p>DE89 3704 0${s.digits.slice(0, 3)} ${s.digits.slice(3, 7)} ${s.digits.slice(5)} 00</p>`,
  needles: [`${s.digits.slice(0, 3)} ${s.digits.slice(3, 7)} ${s.digits.slice(5)} 00`],
}));
plant('text', 'telephone', (s) => ({ body: `<p>+49 30 ${s.digits}</p>`, needles: [s.digits] }));
plant('text', 'social security number', () => ({ body: `<p>SSN 731-54-0921</p>`, needles: ['731-54-0921'] }));
plant('text', 'e-mail in a text that changes', (s, id) => ({
  body: `<p id="${id}">.</p>`,
  script: `${at(id)}.firstChild.data = 'For ${s.email}'`,
}));
plant('text', 'e-mail in a new element', (s) => ({
  script: `document.body.insertAdjacentHTML('beforeend', '<dialog open>For ${s.email}</dialog>')`,
}));
plant('text', 'e-mail in a new title', (s) => ({ script: `document.title = 'Inbox of ${s.email}'` }));
plant('text', 'what was typed, repeated by the page', (s, id) => ({
  body: `<input id="${id}"><p id="${id}e">.</p>`,
  type: { selector: `#${id}`, text: s.person },
  script: `${at(id + 'e')}.textContent = 'Hello ' + ${at(id)}.value + '!'`,
}));
plant('text', 'drawn on a canvas', (s, id) => ({
  body: `<canvas id="${id}"></canvas>`,
  script: `${at(id)}.getContext('2d').fillText('${s.person}', 5, 15)`,
}));
plant('text', 'text of a style sheet', (s) => ({
  head: `<style>.c1::after { content: "${s.email}" }</style>`,
}));
plant('text', 'text in a shadow root', (s, id) => ({
  body: `<div id="${id}"><template shadowrootmode="open"><p>Write to ${s.email}</p></template></div>`,
}));

/* What happens. */
plant('events', 'URL in an uncaught error', (s) => ({
  script: `setTimeout(() => { throw new Error('cannot load /api/user?id=${s.word}') })`,
}));
plant('events', 'name in an uncaught error', (s) => ({
  script: `setTimeout(() => { throw new TypeError('no user "${s.person}" there') })`,
}));
plant('events', 'e-mail in a rejection', (s) => ({
  script: `Promise.reject(new Error('no mail for ${s.email}')); 0`,
}));
plant('events', 'console', (s) => ({
  script: `console.log('user', '${s.person}'); console.error('${s.email}')`,
}));
plant('events', 'body of a fetch', (s) => ({
  script: `fetch('${FILES}/a.json', { method: 'POST', body: JSON.stringify({ name: '${s.person}' }) })`,
}));
plant('events', 'header of a fetch', (s) => ({
  script: `fetch('${FILES}/a.json', { headers: { authorization: 'Bearer ${s.token}' } })`,
}));
plant('events', 'e-mail in track()', (s) => ({ script: `track?.('sign up', { note: 'for ${s.email}' })` }));
plant('events', 'name in track()', (s) => ({ script: `track?.('sign up', { userName: '${s.person}' })` }));
plant('events', 'drag data', (s, id) => ({
  body: `<div id="${id}" draggable="true">drag</div>`,
  script: `{ const d = new DataTransfer(); d.setData('text/plain', '${s.person}');
    for (const t of ['dragstart', 'drag', 'drop']) ${at(id)}.dispatchEvent(new DragEvent(t, { dataTransfer: d, bubbles: true })) }`,
}));
plant('events', 'copied to the clipboard', (s, id) => ({
  body: `<input id="${id}" value="${s.person}">`,
  script: `${at(id)}.select(); document.execCommand('copy')`,
}));
plant('events', 'cookie and storage', (s) => ({
  script: `document.cookie = 'who=${s.word}'; localStorage.setItem('who', '${s.word}')`,
}));
plant('events', 'state of the History API', (s) => ({
  script: `history.replaceState({ name: '${s.person}' }, '')`,
}));
plant('events', 'message between windows', (s) => ({ script: `postMessage({ name: '${s.person}' }, '*')` }));

export const PLACES: readonly Place[] = places;
