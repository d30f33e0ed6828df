import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writer } from './test-words.ts';

export const KINDS = ['shop', 'dashboard', 'document'] as const;
export type Kind = (typeof KINDS)[number];

const css = readFileSync(
  join(import.meta.dirname, '../../node_modules/bootstrap/dist/css/bootstrap.min.css'),
  'utf8',
);
const repeat = (count: number, make: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => make(i)).join('');

/** A page of an application with a text of its own, and how it changes by itself and when it is used. */
export function corpusPage(kind: Kind, writer: Writer, tag: string): string {
  const stock = JSON.stringify(Array.from({ length: 400 }, () => writer.words(1 + writer.int(4))));
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${writer.words(3)}</title><style>${css}</style>
${tag}</head><body><nav class="navbar border-bottom"><div class="container"><a class="navbar-brand" href="#">${writer.word()}</a>
${repeat(6, () => `<a class="nav-link" href="#">${writer.word()}</a>`)}</div></nav><main class="container py-3">${bodies[kind](writer)}</main>
<dialog id="dialog" class="card"><div class="card-body"><h5></h5><p></p><button class="btn btn-primary" id="close">Close</button></div></dialog>
<script>const stock = ${stock}; let at = 0; const next = () => stock[at++ % stock.length] + (at > stock.length ? ' ' + at : '');
document.querySelectorAll('[data-opens]').forEach((b) => b.addEventListener('click', () => {
  dialog.querySelector('h5').textContent = next(); dialog.querySelector('p').textContent = next() + ' ' + next() + ' ' + next(); dialog.open || dialog.showModal(); }));
document.getElementById('close').addEventListener('click', () => dialog.close());
${scripts[kind]}</script></body></html>`;
}

const bodies: Record<Kind, (writer: Writer) => string> = {
  shop: (w) => `<div class="row">${repeat(
    36,
    (
      i,
    ) => `<div class="col-4 mb-3"><div class="card h-100"><div class="card-body"><h5 class="card-title">${w.words(3)}</h5>
<p class="card-text">${w.sentence()}${w.sentence()}</p><span class="badge text-bg-info">${(w.int(90_000) / 100).toFixed(2)}</span>
<button class="btn btn-sm btn-primary act" data-adds="${i}">Add</button> <button class="btn btn-sm btn-link act" data-opens>More</button></div></div></div>`,
  )}</div>
<h3>Order</h3><ul id="cart" class="list-group mb-3"></ul><form id="order" class="row g-2">${repeat(8, () => `<label class="col-6">${w.words(2)}<input class="form-control text" required></label>`)}
<select class="form-select">${repeat(12, () => `<option>${w.word()}</option>`)}</select><button type="button" class="btn btn-success act" id="send">Send</button></form>`,
  dashboard: (
    w,
  ) => `<div class="row">${repeat(4, () => `<div class="col-3"><div class="card"><div class="card-body"><h6>${w.words(2)}</h6><b class="number">${w.int(10_000)}</b></div></div></div>`)}</div>
<input class="form-control my-2 text" placeholder="filter"><svg id="chart" width="900" height="200"><polyline fill="none" stroke="#0d6efd" points=""></polyline></svg>
<table class="table table-sm table-hover"><thead><tr>${repeat(7, () => `<th class="act sorts">${w.word()}</th>`)}</tr></thead><tbody>${repeat(
    180,
    (i) => `<tr data-n="${i}"><td>${i}</td><td>${w.words(2)}</td>
<td>${w.int(100_000) / 100}</td><td>${w.int(1000)}</td><td><span class="badge text-bg-${w.int(2) ? 'success' : 'warning'}">${w.word()}</span></td><td>${w.words(4)}</td><td><button class="btn btn-sm btn-link act" data-opens>${w.word()}</button></td></tr>`,
  )}</tbody></table>`,
  document: (
    w,
  ) => `<div class="row"><aside class="col-3"><ul class="list-group">${repeat(30, () => `<li class="list-group-item act section">${w.words(3)}</li>`)}</ul></aside>
<article class="col-9"><h1 contenteditable>${w.words(5)}</h1>${repeat(60, () => `<p class="para text" contenteditable>${repeat(3 + w.int(5), () => w.sentence())}</p>`)}
<button class="btn btn-outline-secondary act" data-opens>${w.word()}</button><div id="comments"></div><textarea class="form-control text"></textarea><button class="btn btn-primary act" id="comment">Comment</button></article></div>`,
};

const scripts: Record<Kind, string> = {
  shop: `document.querySelectorAll('[data-adds]').forEach((b) => b.addEventListener('click', () => { const li = document.createElement('li');
  li.className = 'list-group-item'; li.innerHTML = '<b></b> <span class="text-muted"></span>'; li.firstChild.textContent = next(); li.lastChild.textContent = next(); cart.append(li);
  b.classList.add('disabled'); b.textContent = 'Added'; setTimeout(() => { b.classList.remove('disabled'); b.textContent = 'Add'; }, 1500); }));
document.getElementById('send').addEventListener('click', () => { order.classList.add('was-validated'); while (cart.children.length > 6) cart.firstChild.remove(); });`,
  dashboard: `const body = document.querySelector('tbody'); const line = document.querySelector('polyline'); const values = [];
const any = (list) => list[Math.floor(Math.random() * list.length)];
setInterval(() => { for (let i = 0; i < 5; i++) { const row = any(body.children); row.cells[2].textContent = (Math.random() * 1000).toFixed(2); row.cells[5].textContent = next();
  row.cells[3].textContent = Math.floor(Math.random() * 1000); }
  for (const one of document.querySelectorAll('.number')) one.textContent = Math.floor(Math.random() * 10000);
  values.push(Math.random() * 180); if (values.length > 60) values.shift(); line.setAttribute('points', values.map((y, x) => x * 15 + ',' + y.toFixed(1)).join(' ')); }, 2000);
document.querySelectorAll('.sorts').forEach((th) => th.addEventListener('click', () => { const n = th.cellIndex;
  for (const row of [...body.children].sort((a, b) => (a.cells[n].textContent < b.cells[n].textContent ? -1 : 1)).slice(0, 40)) body.prepend(row); }));`,
  document: `document.querySelectorAll('.section').forEach((li, i) => li.addEventListener('click', () => { document.querySelector('.section.active')?.classList.remove('active');
  li.classList.add('active'); document.querySelectorAll('.para')[i * 2].scrollIntoView(); }));
document.getElementById('comment').addEventListener('click', () => { const card = document.createElement('div'); card.className = 'card my-1';
  card.innerHTML = '<div class="card-body"><b></b><p></p></div>'; card.querySelector('b').textContent = next(); card.querySelector('p').textContent = next() + ' ' + next() + ' ' + next(); comments.append(card); });`,
};
