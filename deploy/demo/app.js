/**
 * The demo site's behaviour: a router on the History API, three forms, and the switch between the sign-up as it was
 * (a required checkbox under the fold, a disabled button, no word about it) and as it should be.
 */

const BASE = '/demo/';
const PAGES = {
  '': ['page-landing', 'Proofbook: bookkeeping for bakeries'],
  'signup/step-1': ['page-step-1', 'You · Proofbook'],
  'signup/step-2': ['page-step-2', 'Your bakery · Proofbook'],
  'signup/step-3': ['page-step-3', 'Your plan · Proofbook'],
  'signup/done': ['page-done', 'Your book is open · Proofbook'],
};
const PRICES = { counter: '€19.00', bakehouse: '€49.00', branches: '€129.00' };
/** localStorage: '1' while the fix is shown. */
const FIX_KEY = 'proofbook.fix';
/** sessionStorage: the variant that was told for the sign-up under way. */
const VARIANT_KEY = 'proofbook.variant';

const main = document.getElementById('main');
const fixSwitch = document.getElementById('fix-switch');
/** What was entered, so that going back loses nothing. In memory only: a password belongs in no storage. */
const draft = new Map();

/** The recorder comes by itself and later; until then calls wait in `q`. */
function track(...call) {
  const recorder = (window.mutoscope ??= {
    q: [],
    track(...waiting) {
      this.q.push(['track', ...waiting]);
    },
  });
  recorder.track(...call);
}

const fixShown = () => localStorage.getItem(FIX_KEY) === '1';

function showFix(on) {
  localStorage.setItem(FIX_KEY, on ? '1' : '0');
  fixSwitch.checked = on;
}

const place = () => location.pathname.slice(BASE.length).replace(/\/$/, '');

/** Says which variant this sign-up runs under: once when it begins, and again only if the switch is thrown midway. */
function tellVariant() {
  const variant = String(fixShown());
  if (sessionStorage.getItem(VARIANT_KEY) === variant) return;
  sessionStorage.setItem(VARIANT_KEY, variant);
  track('variant', { fix: fixShown() });
}

function go(path, { replace = false } = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', path);
  render();
  // Without a page load nobody tells a screen reader that the page is another.
  main.focus({ preventScroll: true });
  if (location.hash) document.querySelector(location.hash)?.scrollIntoView();
  else window.scrollTo(0, 0);
}

function render() {
  const page = PAGES[place()];
  if (!page) return go(BASE, { replace: true });
  const [template, title] = page;
  document.title = title;
  document.body.dataset.page = template;
  main.replaceChildren(document.getElementById(template).content.cloneNode(true));
  if (/^signup\/step-/.test(place())) tellVariant();
  ({ 'page-step-1': firstStep, 'page-step-2': secondStep, 'page-step-3': thirdStep })[template]?.();
}

function firstStep() {
  const form = openForm('form-1');
  form.addEventListener('submit', () => reportMissing(form) || go(`${BASE}signup/step-2`));
}

function secondStep() {
  const fixed = fixShown();
  const terms = document.getElementById('part-terms').content.cloneNode(true);
  main.querySelector(`[data-slot=${fixed ? 'terms-fixed' : 'terms-original'}]`).replaceWith(terms);
  const form = openForm('form-2');
  const submit = document.getElementById('continue');
  if (!fixed) {
    const update = () => (submit.disabled = missingIn(form).length > 0);
    // On the section, for the checkbox stands outside its form.
    main.firstElementChild.addEventListener('input', update);
    update();
  }
  form.addEventListener('submit', () => reportMissing(form) || go(`${BASE}signup/step-3`));
}

function thirdStep() {
  const form = openForm('form-3');
  const plan = () => new FormData(form).get('plan');
  const price = () => (document.getElementById('bill-price').textContent = PRICES[plan()]);
  form.addEventListener('change', price);
  price();
  form.addEventListener('submit', () => {
    track('signed_up', { plan: plan() });
    sessionStorage.removeItem(VARIANT_KEY);
    draft.clear();
    go(`${BASE}signup/done`);
  });
}

/** Fills the form with what was entered before, keeps what is entered now, and never sends anything. */
function openForm(id) {
  const form = document.getElementById(id);
  for (const control of form.elements) {
    if (!control.name) continue;
    const key = `${id}.${control.id}`;
    const [property, event] = /checkbox|radio/.test(control.type)
      ? ['checked', 'change']
      : ['value', 'input'];
    if (draft.has(key)) control[property] = draft.get(key);
    control.addEventListener(event, () => {
      if (control.type === 'radio')
        for (const other of form.elements[control.name]) draft.delete(`${id}.${other.id}`);
      draft.set(key, control[property]);
      if (control.validity.valid) showMissing(control, '');
    });
  }
  form.addEventListener('submit', (event) => event.preventDefault());
  return form;
}

const missingIn = (form) =>
  [...form.elements].filter((control) => control.willValidate && !control.validity.valid);

/** Says at each control what it lacks, takes the visitor to the first, and returns whether there was any. */
function reportMissing(form) {
  const missing = missingIn(form);
  for (const control of missing) showMissing(control, control.dataset.missing);
  missing[0]?.focus();
  return missing.length > 0;
}

function showMissing(control, text) {
  const field = control.closest('.field');
  const id = `${control.id}-missing`;
  const shown = document.getElementById(id);
  const described = (control.getAttribute('aria-describedby') ?? '')
    .split(' ')
    .filter((other) => other && other !== id);
  if (!text) shown?.remove();
  else {
    described.push(id);
    const line =
      shown ?? field.appendChild(Object.assign(document.createElement('p'), { id, className: 'missing' }));
    line.textContent = text;
  }
  if (text) control.setAttribute('aria-invalid', 'true');
  else control.removeAttribute('aria-invalid');
  if (described.length) control.setAttribute('aria-describedby', described.join(' '));
  else control.removeAttribute('aria-describedby');
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/demo/"]');
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey)
    return;
  event.preventDefault();
  go(link.getAttribute('href'));
});
fixSwitch.addEventListener('change', () => {
  showFix(fixSwitch.checked);
  render();
});
window.addEventListener('popstate', render);

const asked = new URLSearchParams(location.search).get('fix');
showFix(asked === null ? fixShown() : asked === '1');
if (asked !== null) history.replaceState(null, '', location.pathname + location.hash);
render();
if (location.hash) document.querySelector(location.hash)?.scrollIntoView();
