import { EventType, IncrementalSource } from '#protocol';

export interface ReplayEvent {
  type: number;
  /** Epoch milliseconds. */
  timestamp: number;
  /** rrweb's; its shape depends on `type`. */
  data: unknown;
}

interface SnapshotNode {
  tagName?: string;
  attributes?: Record<string, unknown>;
  childNodes?: SnapshotNode[];
}
interface IncrementalData {
  source: number;
  adds?: { node: SnapshotNode }[];
  attributes?: { attributes: Record<string, unknown> }[];
  fontSource?: string;
  buffer?: boolean;
}

/**
 * Takes out of an event, in place, what could reach the network past the stage's CSP: preconnect and DNS prefetch obey
 * none, a FontFace loads under the host's, and rrweb halts to wait for style sheets that cannot come.
 * Returns undefined for an event to drop.
 */
export function sanitize(event: ReplayEvent): ReplayEvent | undefined {
  if (event.type === EventType.fullSnapshot) {
    sanitizeNode((event.data as { node: SnapshotNode }).node);
    return event;
  }
  if (event.type !== EventType.incrementalSnapshot) return event;
  const data = event.data as IncrementalData;
  if (data.source === IncrementalSource.mutation) {
    for (const { node } of data.adds ?? []) sanitizeNode(node);
    for (const { attributes } of data.attributes ?? [])
      if (isFetchingRel(attributes.rel)) delete attributes.rel;
  }
  if (
    data.source === IncrementalSource.font &&
    !data.buffer &&
    !/^url\(["']?data:/.test(data.fontSource ?? '')
  )
    return undefined;
  return event;
}

function sanitizeNode(root: SnapshotNode): void {
  const stack = [root];
  for (let node = stack.pop(); node; node = stack.pop()) {
    const { attributes, tagName } = node;
    if (tagName === 'link' && attributes && !attributes._cssText) {
      if (!/^data:/.test(String(attributes.href ?? ''))) delete attributes.rel;
    } else if (tagName === 'meta' && /^refresh$/i.test(String(attributes?.['http-equiv'] ?? '')))
      delete attributes!['http-equiv'];
    for (const child of node.childNodes ?? []) stack.push(child);
  }
}

const isFetchingRel = (rel: unknown): boolean =>
  typeof rel === 'string' && /preconnect|prefetch|prerender|preload|stylesheet|icon|manifest/i.test(rel);
