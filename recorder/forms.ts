import type { RecordingContext } from './context.ts';
import { observeDocuments, pathTo } from './documents.ts';
import { roleOf, textOf } from './element.ts';
import { isBlocked, isIgnored, isSecret } from './masking.ts';
import type { CustomPayloads } from './protocol.ts';

type Kind = CustomPayloads['form']['kind'];
type Field = Element & { value?: string; form?: HTMLFormElement | null };

const FIELD =
  'input:not([type=hidden],[type=button],[type=submit],[type=reset],[type=image]),textarea,select,[contenteditable]:not([contenteditable=false])';
/** Fields that are never blank: a box that is not ticked is an answer. */
const NEVER_BLANK = '[type=checkbox],[type=radio],[type=range],[type=color]';

/** Tells what becomes of a form's fields; of a value only whether there is one. */
export function observeForms({ custom, idOf, guard }: RecordingContext): () => void {
  let entered: { field: Field; atMs: number; isChanged: boolean } | undefined;
  /** Fields that took input; when a form's first field was entered; fields that are known to be invalid. */
  const touched = new WeakSet<Element>();
  const begun = new WeakMap<Element, number>();
  const invalid = new WeakSet<Element>();

  const formOf = (field: Field): Element | null => field.form ?? field.closest('form');
  const tell = (kind: Kind, element: Element, text: string, ms: number, form: Element | null): void =>
    custom('form', {
      kind,
      id: idOf(element),
      selector: pathTo(element),
      tag: element.localName,
      role: roleOf(element),
      text,
      form: form ? pathTo(form) : '',
      ms: Math.round(ms),
    });
  const spentOn = (field: Element): number =>
    entered?.field === field ? performance.now() - entered.atMs : 0;
  const tellOf = (kind: Kind, field: Field): void =>
    tell(kind, field, textOf(field), spentOn(field), formOf(field));

  const enter = (field: Field): void => {
    if (entered?.field === field) return;
    leave();
    entered = { field, atMs: performance.now(), isChanged: false };
    const form = formOf(field);
    if (form && !begun.has(form)) begun.set(form, entered.atMs);
    tellOf('entered', field);
  };
  const leave = (): void => {
    if (!entered) return;
    const { field, isChanged } = entered;
    if (isChanged) tellOf('changed', field);
    if (!field.matches(NEVER_BLANK) && isBlank(field)) tellOf('blank', field);
    entered = undefined;
    // What the page finds invalid it says after it heard of the change.
    if (isChanged) setTimeout(guard(() => looksInvalid(field) && findInvalid(field)));
  };
  /** A secret is not even looked at: it is blank as long as nothing was typed. */
  const isBlank = (field: Field): boolean =>
    isSecret(field) ? !touched.has(field) : !(field.value ?? field.textContent)?.trim();
  const findInvalid = (field: Field): void => {
    if (invalid.has(field)) return;
    invalid.add(field);
    tellOf('invalid', field);
  };

  const handlers: Record<string, (target: Field) => void> = {
    focusin: enter,
    focusout: (field) => entered?.field === field && leave(),
    input: (field) => {
      invalid.delete(field);
      const isFirst = !touched.has(field);
      touched.add(field);
      if (entered?.field === field) entered.isChanged = true;
      // The browser filled it in.
      else if (isFirst) tellOf('changed', field);
    },
    invalid: findInvalid,
  };
  const stopping = new AbortController();
  const { signal } = stopping;
  const listen = guard((event: Event) => {
    const target = event.composedPath()[0] as Field;
    if (target.nodeType !== Node.ELEMENT_NODE || isBlocked(target)) return;
    if (event.type === 'submit') {
      leave();
      const atMs = begun.get(target) ?? performance.now();
      begun.delete(target);
      const { submitter } = event as SubmitEvent;
      return tell('submitted', target, submitter ? textOf(submitter) : '', performance.now() - atMs, target);
    }
    const field = target.closest(FIELD);
    if (field && isTold(field)) handlers[event.type]!(field);
  });
  observeDocuments(
    (document) => {
      for (const type of [...Object.keys(handlers), 'submit'])
        document.addEventListener(type, listen, { capture: true, passive: true, signal });
      const active = document.activeElement;
      if (active?.matches(FIELD) && !isBlocked(active) && isTold(active)) enter(active);
    },
    guard,
    signal,
  );
  // Before the core's farewell, which listens on the target.
  addEventListener('pagehide', guard(leave), { capture: true, signal });
  return () => stopping.abort();
}

const IGNORED = '[data-rr-ignore],.rr-ignore';
/** Of a secret the events are told unless it is marked; `isIgnored` is about its value. */
const isTold = (field: Element): boolean =>
  !isIgnored(field) || (isSecret(field) && !field.matches(IGNORED) && !isIgnored(field.parentElement));

function looksInvalid(field: Element): boolean {
  try {
    return field.matches('[aria-invalid=true],:user-invalid');
  } catch {
    // A browser that does not know the second.
    return field.matches('[aria-invalid=true]');
  }
}
