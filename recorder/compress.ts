import type { ClosedBatch } from './batcher.ts';
import { sumOf, type Batch } from './outbox.ts';

/** Encodes without compression, at once: for the farewell, which cannot wait. */
export function encodeRaw({ json, ...batch }: ClosedBatch): Batch {
  return { ...batch, payload: new TextEncoder().encode(json), gzip: false };
}

/** Encodes with gzip where the browser has it. */
export async function encodeGzip({ json, ...batch }: ClosedBatch): Promise<Batch> {
  if (typeof CompressionStream === 'undefined') return encodeRaw({ json, ...batch });
  // It also puts a character together that two pieces share. A Blob costs the main thread more than the compression.
  const { readable, writable } = new TextEncoderStream();
  const writer = writable.getWriter();
  const answer = new Response(readable.pipeThrough(new CompressionStream('gzip'))).arrayBuffer();
  for (let at = 0; at < json.length; at += PIECE_CHARS) {
    // Each piece is compressed in a frame of its own, where there are frames.
    if (at && !document.hidden) await new Promise((resolve) => setTimeout(resolve, FRAME_MS));
    void writer.write(json.slice(at, at + PIECE_CHARS));
  }
  void writer.close();
  return { ...batch, payload: new Uint8Array(await answer), gzip: true };
}
/** Takes about half a millisecond. */
const PIECE_CHARS = 64 * 1024;
const FRAME_MS = 17;

/** Encodes batches, one after the other, so that they come out in order. Those that are encoded already pass. */
export function createEncoder(onEncoded: (batch: Batch) => void, onEmpty: () => void) {
  /** The first one may be at work; who takes it away makes that work void. */
  const queue: (ClosedBatch | Batch)[] = [];
  let isBusy = false;

  async function work(): Promise<void> {
    isBusy = true;
    for (let head = queue[0]; head; head = queue[0]) {
      let batch: Batch | undefined;
      try {
        batch = 'json' in head ? await encodeGzip(head) : head;
      } catch {
        batch = encodeRaw(head as ClosedBatch);
      }
      if (queue[0] !== head) continue;
      queue.shift();
      onEncoded(batch);
    }
    isBusy = false;
    onEmpty();
  }

  return {
    get isEmpty() {
      return !queue.length;
    },
    /** Before compression, where it is still to come. */
    get bytes() {
      return sumOf(queue, (batch) => ('json' in batch ? batch.json : batch.payload).length);
    },
    add(batch: ClosedBatch | Batch): void {
      queue.push(batch);
      if (!isBusy) void work();
    },
    /** Takes away all that waits. */
    take: (): (ClosedBatch | Batch)[] => queue.splice(0),
  };
}
