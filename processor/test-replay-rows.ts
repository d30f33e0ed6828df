import type { ReplayRow } from './layout.ts';
import { createFoldEvents } from './test-fold-events.ts';

export const START_MS = 1_800_000_000_000;
const PICTURE = Buffer.from(Array.from({ length: 3000 }, (_, i) => (i * 7) & 255)).toString('base64');
const sheet = (mark: string): string =>
  Array.from({ length: 200 }, (_, i) => `.c${mark}${i} > "é~asset:" { left: ${i}px }`).join('\n');

/**
 * For tests of sealed files: a page load whose events are half a second apart, drawn by seed. Its page shows what is worth an asset:
 * a picture, which all show, and a style sheet, which those of one `mark` share.
 */
export function replayRows(
  session: string,
  rid: string,
  count: number,
  seed: number,
  mark = '',
): ReplayRow[] {
  const events = createFoldEvents(seed, count);
  return events.map(({ type, timestamp, data }, i) => {
    if (type === 2) {
      const { node } = data as { node: { childNodes: { childNodes?: object[] }[] } };
      const src = `data:image/png;base64,${PICTURE}`;
      node.childNodes
        .at(-1)!
        .childNodes?.push(
          ...[
            { type: 2, id: 900_001, tagName: 'style', attributes: { _cssText: sheet(mark) }, childNodes: [] },
          ],
          ...[{ type: 2, id: 900_002, tagName: 'img', childNodes: [], attributes: { src } }],
        );
    }
    return {
      ...{ project: 'shop', session_id: session, rid, seq: i + 1, kind: 'event', type },
      ts: BigInt(START_MS + (timestamp - events[0]!.timestamp) * 25) * 1000n,
      payload: JSON.stringify(data),
    };
  });
}
