import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { decodeFrames, FrameFlag, type Frame } from '#protocol';
import type { Batch, PendingFrame } from '../assembler.ts';
import { className } from '../layout.ts';
import { sessionAt } from '../samples.ts';

/** A session as its recorder sent it. */
export interface CorpusSession {
  kind: string;
  startMs: number;
  recordedMs: number;
  events: number;
  /** Whole batches, each of one or more frames. */
  batches: Frame[][];
  gzipBytes: number;
  /** Of each batch, inflated. */
  jsons: Buffer[];
  rawBytes: number;
}

const CORPUS = join(import.meta.dirname, '../../.cache/corpus');

/** The corpus with the most sessions. @throws Error where there is none */
export function readCorpus(sessionsMax: number): { folder: string; sessions: CorpusSession[] } {
  const found = globSync('*/corpus.json', { cwd: CORPUS })
    .map((path) => ({
      folder: join(CORPUS, path, '..'),
      listed: JSON.parse(readFileSync(join(CORPUS, path), 'utf8')) as Listed[],
    }))
    .sort((a, b) => b.listed.length - a.listed.length)[0];
  if (!found) throw new Error('there is no corpus; make corpus records one');
  const sessions = found.listed.slice(0, sessionsMax).map(({ file, ...rest }) => {
    const batches: Frame[][] = [[]];
    for (const frame of decodeFrames(new Uint8Array(readFileSync(join(found.folder, file))))) {
      batches.at(-1)!.push(frame);
      if (!(frame.flags & FrameFlag.more)) batches.push([]);
    }
    batches.pop();
    const jsons = batches.map(inflate);
    return {
      ...rest,
      batches,
      gzipBytes: batches.flat().reduce((sum, { payload }) => sum + payload.length, 0),
      jsons,
      rawBytes: jsons.reduce((sum, { length }) => sum + length, 0),
    };
  });
  return { folder: found.folder, sessions };
}
interface Listed {
  file: string;
  kind: string;
  startMs: number;
  recordedMs: number;
  events: number;
}

export function inflate(batch: readonly Frame[]): Buffer {
  const payload = Buffer.concat(batch.map(({ payload }) => payload));
  // Into one piece, as a flush does.
  return batch[0]!.flags & FrameFlag.gzip
    ? gunzipSync(payload, { chunkSize: payload.length * 12 + 1024 })
    : payload;
}

/** The session again under another id, as the assembler gives its batches to a flush. */
export function batchesOf(one: CorpusSession, n: number, project = 'bench'): Batch[] {
  const session = sessionAt(one.startMs, n);
  const rid = `rid-${n}`;
  const envelope = {
    v: 1 as const,
    rid,
    retentionDays: 30,
    offsetMs: 0,
    receivedMs: one.startMs + one.recordedMs,
  };
  return one.batches.map((frames) => ({
    project,
    session,
    rid,
    class: className(30),
    offsetMs: 0,
    receivedMs: envelope.receivedMs,
    stale: false,
    frames: frames.map((frame): PendingFrame => ({
      seq: 1,
      project,
      session,
      envelope,
      frame,
      bufferedMs: 0,
    })),
  }));
}
