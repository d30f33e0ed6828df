import type { ClosedBatch } from './batcher.ts';
import type { Batch } from './outbox.ts';

/** Encodes without compression, at once: for the farewell, which cannot wait. */
export function encodeRaw({ json, ...batch }: ClosedBatch): Batch {
  return { ...batch, payload: new TextEncoder().encode(json), gzip: false };
}

/** Encodes with gzip where the browser has it. */
export async function encodeGzip({ json, ...batch }: ClosedBatch): Promise<Batch> {
  if (typeof CompressionStream === 'undefined') return encodeRaw({ json, ...batch });
  const stream = new Blob([json]).stream().pipeThrough(new CompressionStream('gzip'));
  return { ...batch, payload: new Uint8Array(await new Response(stream).arrayBuffer()), gzip: true };
}
