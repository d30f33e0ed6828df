import { afterEach, beforeEach, expect, it } from 'vitest';
import { encodeJson, getIfThere, getJson } from './lake-reader.ts';
import { paths, type Erasure, type VisitorErasure } from './layout.ts';
import type { Maintenance } from './maintenance.ts';
import { quietMaintenance } from './test-maintenance.ts';
import { openHarness, until, type Harness } from './processor.harness.ts';
import { findIn } from './readable.ts';
import { checkReceipt, readReceiptKeys } from './receipt.ts';
import { append, createSender, pageLoad, sessionAt } from './samples.ts';
import { visitorUntilMs } from './visitor-erasures.ts';

const t0 = Date.now();
const VISITOR = 'mira@planted.example';
let lake: Harness;
let maintenance: Maintenance;
let nonces = 0;
beforeEach(async () => {
  lake = await openHarness();
  const { store, stream } = lake;
  maintenance = quietMaintenance({ store, stream, nonce: () => `n${nonces++}` });
});
afterEach(() => lake.close());

const custom = (tag: string, payload: object) => ({ type: 5, timestamp: t0, data: { tag, payload } });
const identified = [...pageLoad(5, t0), custom('identify', { visitor: VISITOR })];
const known = [custom('environment', { userAgent: 'x', language: 'en', visitor: VISITOR })];

const send = (session: string, events: readonly unknown[], project = 'shop'): Promise<void> =>
  append(lake.stream, createSender({ project, session, rid: session.slice(-2) }).batch(events));
const sessions = async (project = 'shop'): Promise<string[]> =>
  [...new Set((await lake.rows(project)).map((row) => row.session_id))].sort();
/** Flushes what is in the stream until these sessions are seen. */
async function flushUntil(expected: string[]): Promise<void> {
  const { service, ran } = lake.start();
  await until(async () => expect(await sessions()).toEqual(expected.toSorted()));
  await service.drain();
  await service.stop();
  await ran;
}
const isDone = async (session: string): Promise<boolean> => {
  const bytes = await getIfThere(lake.store, paths.erasure('shop', session));
  return bytes !== undefined && (JSON.parse(Buffer.from(bytes).toString()) as Erasure).done !== undefined;
};

it("erases a visitor's sessions in files, in commits and those still in the stream; no other's, and none begun since", async () => {
  const [compacted, committed, streamed, stranger, since] = [1, 2, 3, 4, 5].map((n) =>
    sessionAt(t0 + (n === 5 ? 60_000 : 0), n),
  ) as [string, string, string, string, string];
  await send(compacted, identified);
  await send(stranger, [...pageLoad(5, t0), custom('identify', { visitor: `${VISITOR}.example` })]);
  await send(sessionAt(t0, 9), identified, 'bank');
  await flushUntil([compacted, stranger]);
  await maintenance.compact(t0);
  await send(committed, known);
  await flushUntil([compacted, committed, stranger]);
  await send(streamed, pageLoad(4, t0));

  const key = paths.visitorErasure('shop', 'request');
  const request: VisitorErasure = {
    ...{ v: 1, project: 'shop', visitor: VISITOR, requestedMs: t0, untilMs: visitorUntilMs(t0) },
  };
  await lake.store.put(key, encodeJson(request));
  await maintenance.sweep(t0);
  expect(await sessions()).toEqual([stranger]);
  expect(await Promise.all([compacted, committed, streamed].map(isDone))).toEqual([true, true, false]);

  // Whose it is, is told only now.
  const sender = createSender({ project: 'shop', session: streamed, rid: 'zz' });
  await flushUntil([streamed, stranger]);
  await append(lake.stream, sender.batch(identified));
  await send(since, identified);
  await flushUntil([streamed, stranger, since]);
  await maintenance.sweep(t0 + 1000);
  expect(await sessions()).toEqual([stranger, since].sort());
  expect(await isDone(streamed)).toBe(true);
  expect(await sessions('bank')).toHaveLength(1);
  expect(await getJson(lake.store, key)).toEqual(request);

  await maintenance.sweep(visitorUntilMs(t0));
  const text = Buffer.from((await getIfThere(lake.store, key))!).toString();
  const keys = (await readReceiptKeys(lake.store)).map(({ publicKey }) => publicKey);
  expect(checkReceipt(text, keys)).toMatchObject({
    holds: true,
    receipt: { project: 'shop', requestedMs: t0, done: { atMs: visitorUntilMs(t0) } },
  });
  expect([...findIn([Buffer.from(text)], [VISITOR])]).toEqual([]);
});
