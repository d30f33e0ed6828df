import { expect, it } from 'vitest';
import { decodeNotes, encodeNote } from './member-note.ts';

it('of what several processors tell the highest counts, and what cannot be read tells nothing', () => {
  const old = new Map([
    [3, 20],
    [7, 5],
  ]);
  const notes = [
    encodeNote(old),
    encodeNote(new Map([[3, 30]])),
    encodeNote(new Map([[3, 9]])),
    encodeNote(new Map()),
  ];
  const others = ['', 'not a note', '{"v":2,"clear":[[7,900]]}', '{"v":1,"clear":[[99,1]]}'];
  expect([...decodeNotes([...notes, ...others])]).toEqual([
    [3, 30],
    [7, 5],
  ]);
});
