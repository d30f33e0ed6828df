import { fixtureProject, openFixtureLake, sessionId } from './fixture-lake.ts';
import type { FixtureEvent, FixtureLake, FixtureReply } from './fixture-lake.ts';

/** For tests: the founding story in a lake of two projects. */
export const T0 = Date.parse('2026-03-10T10:00:00Z');
export const DAY_MS = 86_400_000;
export const KEY = 'ak_one';
export const OTHER_KEY = 'ak_two';
export const STEP2 = 'https://shop.example/signup/step-2';
const CHROME =
  'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36';
/** A visitor who fails at step 2: snapshot, three clicks on what is disabled, one of them as rage. */
export const stuck = (startMs: number): FixtureEvent[] => [
  {
    tsMs: startMs,
    type: 'environment',
    replayType: 5,
    url: STEP2,
    props: JSON.stringify({ userAgent: CHROME }),
  },
  { tsMs: startMs + 1, type: 'meta', url: STEP2, x: 1280, y: 720 },
  { tsMs: startMs + 2, type: 'snapshot', url: STEP2 },
  { tsMs: startMs + 3, type: 'navigation', replayType: 5, url: STEP2, name: 'load' },
  { tsMs: startMs + 500, type: 'input', url: STEP2, node_id: 7, value: '·····' },
  { tsMs: startMs + 600, type: 'input', url: STEP2, node_id: 7, value: '·····' },
  ...[1000, 1200, 1400].map((at) => ({
    ...{ tsMs: startMs + at, type: 'click', replayType: 5, url: STEP2, node_id: 9, disabled: true },
    ...{ tag: 'button', role: 'button', selector: '#continue', text: 'Continue', x: 5, y: 6 },
  })),
  {
    tsMs: startMs + 1401,
    type: 'rage',
    replayType: 5,
    url: STEP2,
    node_id: 9,
    disabled: true,
    text: 'Continue',
  },
  { tsMs: startMs + 2000, type: 'track', replayType: 5, url: STEP2, name: 'variant', props: '{"fix":false}' },
  { tsMs: startMs + 3000, type: 'error', replayType: 5, url: STEP2, name: 'boom', props: '{"line":3}' },
];

export const A = sessionId(T0, 1);
export const B = sessionId(T0 + 60_000, 2);
export const OTHERS = sessionId(T0 + 120_000, 3);
export const PROJECTS = [
  fixtureProject('one', { [KEY]: ['query', 'play', 'erase'], ak_query: ['query'], ak_play: ['play'] }),
  fixtureProject('two', { [OTHER_KEY]: ['query', 'play', 'erase'] }),
  fixtureProject('empty', { ak_empty: ['query', 'play', 'erase'] }),
];
export const NOW = T0 + 3600_000;

/** Projects one and two in the files of one commit; session B in a class of its own. */
export async function twoProjects(): Promise<FixtureLake> {
  const lake = await openFixtureLake();
  await lake.flush([
    { project: 'one', id: A, events: stuck(T0) },
    { project: 'two', id: OTHERS, events: stuck(T0 + 120_000) },
  ]);
  await lake.flush([{ project: 'one', id: B, events: stuck(T0 + 60_000) }], 90);
  return lake;
}
export const errorOf = (reply: FixtureReply) => ({
  status: reply.status,
  ...reply.json<{ error: { code: string } }>().error,
});
