import { recordedAttribute } from './attributes.ts';
import { fieldValue, isBlocked, recordedText, rememberEditable, rememberSecret } from './masking.ts';
import { idOf } from './node-ids.ts';

export interface NodeChanges {
  texts: { id: number; value: string | null }[];
  attributes: { id: number; attributes: Record<string, unknown> }[];
}

const FIELD = /^(input|textarea|select)$/;
const MEDIA = /^(audio|video)$/;

/**
 * Attributes and texts that changed since they were told. Each is read once, when it is told, however often it changed;
 * of a node that is not told nothing is, for it will be told as it is then.
 */
export function createNodeChanges(isTold: (node: Node) => boolean) {
  /** With the value that was told. */
  const attributes = new Map<Element, Map<string, string | null>>();
  const texts = new Map<Node, string | null>();

  function changedAttributes(): NodeChanges['attributes'] {
    const changed: NodeChanges['attributes'] = [];
    for (const [element, names] of attributes) {
      const id = idOf(element);
      if (id < 0 || !isTold(element) || isBlocked(element)) continue;
      const tag = element.tagName.toLowerCase();
      const values: Record<string, unknown> = {};
      for (const [name, old] of names) {
        const lower = name.toLowerCase();
        let key = name;
        let value = element.getAttribute(name);
        if (name === 'value' && FIELD.test(tag))
          value = fieldValue((tag === 'textarea' ? element.textContent : value) ?? '', element);
        if (value === old || (lower === 'autoplay' && MEDIA.test(tag))) continue;
        if (tag === 'iframe' && name === 'src') {
          if ((element as HTMLIFrameElement).contentDocument) continue;
          key = 'rr_src';
        }
        values[key] = recordedAttribute(element, tag, name, value);
        if (tag === 'dialog' && name === 'open')
          values.rr_open_mode = element.matches(':modal') ? 'modal' : 'non-modal';
      }
      for (const _ in values) {
        changed.push({ id, attributes: values });
        break;
      }
    }
    attributes.clear();
    return changed;
  }
  function changedTexts(): NodeChanges['texts'] {
    const changed: NodeChanges['texts'] = [];
    for (const [node, old] of texts) {
      const id = idOf(node);
      const value = node.nodeValue;
      if (id < 0 || value === old || !isTold(node) || isBlocked(node)) continue;
      changed.push({ id, value: value && recordedText(node, value) });
    }
    texts.clear();
    return changed;
  }

  return {
    attribute(element: Element, name: string, old: string | null): void {
      // Once secret or editable, always: the attribute may be gone before it is told.
      if (name === 'type' && element.localName === 'input' && old?.toLowerCase() === 'password')
        rememberSecret(element);
      if (name === 'contenteditable') rememberEditable(element);
      let names = attributes.get(element);
      if (!names) attributes.set(element, (names = new Map()));
      if (!names.has(name)) names.set(name, old);
    },
    text(node: Node, old: string | null): void {
      if (!texts.has(node)) texts.set(node, old);
    },
    clear(): void {
      attributes.clear();
      texts.clear();
    },
    drain: (): NodeChanges => ({ texts: changedTexts(), attributes: changedAttributes() }),
  };
}
