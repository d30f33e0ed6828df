import { expect, it } from 'vitest';
import type { CommitSession } from './layout.ts';
import { createRandom, sessionAt } from './samples.ts';
import { COMES_AGAIN_MS, createSeen } from './seen.ts';

const t0 = Date.UTC(2026, 0, 2);
const SESSIONS = 2500;
const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 1e9));
const random = createRandom(seed);
const int = (below: number): number => Math.floor(random() * below);

/** Sessions of two page loads each: more than are held open, so that each is packed and unpacked now and then. */
const lineOf = (n: number, from: number): CommitSession => ({
  project: 'shop',
  session: sessionAt(t0 - (n % 2 ? 0 : 2 * COMES_AGAIN_MS), n >> 1),
  rid: `rid/${n}`,
  class: 'r30',
  frames: [[from, from + 1]],
  seqs: [[10 * from, 10 * from + 15]],
  ...(from % 4 ? {} : { url: `https://shop.example/${n}/${from}` }),
  startMs: t0 + from,
  endMs: t0 + from + 1,
  rows: 16,
});

it(`knows of thousands of sessions what was added of each (SEED=${seed})`, () => {
  const seen = createSeen();
  const added = new Map<number, number[]>();
  for (let i = 0; i < 4 * SESSIONS; i++) {
    const n = int(SESSIONS);
    const from = 1 + 2 * int(50);
    seen.add([lineOf(n, from)]);
    added.set(n, [...(added.get(n) ?? []), from]);
    const asked = int(SESSIONS);
    const frame = 1 + int(100);
    const has = (added.get(asked) ?? []).some((at) => frame === at || frame === at + 1);
    const { session, rid } = lineOf(asked, 1);
    expect(seen.hasFrame(session, rid, frame), `frame ${frame} of ${rid}`).toBe(has);
  }
  const all = seen.all();
  expect(all.length).toBe(added.size);
  for (const one of all) {
    const n = Number(one.rid.slice(4));
    const froms = added.get(n)!;
    expect(one).toMatchObject({
      ...{ session: lineOf(n, 1).session, project: 'shop', class: 'r30', rows: 16 * froms.length },
      ...{ startMs: t0 + Math.min(...froms), endMs: t0 + Math.max(...froms) + 1 },
    });
    expect(one.frames.reduce((sum, [from, to]) => sum + to - from + 1, 0)).toBe(2 * new Set(froms).size);
    expect(seen.seqs(one.session, one.rid)).toEqual(one.seqs);
  }
  seen.prune(t0);
  const kept = all.filter(({ rid }) => Number(rid.slice(4)) % 2);
  expect(
    seen
      .all()
      .map(({ rid }) => rid)
      .sort(),
  ).toEqual(kept.map(({ rid }) => rid).sort());
});
