import { expect, test } from 'vitest';
import {
  formatAgo,
  formatDuration,
  formatMoment,
  formatPosition,
  shortUrl,
  speakPosition,
} from './format.ts';

test('positions round down, and show hours only when there are some', () => {
  expect([0, 999, 7_000, 754_000, 3_723_000, -5].map(formatPosition)).toEqual([
    '0:00',
    '0:00',
    '0:07',
    '12:34',
    '1:02:03',
    '0:00',
  ]);
  expect(formatMoment(4_480)).toBe('0:04.4');
});

test('positions are spoken in words', () => {
  expect(speakPosition(3_661_000)).toBe('1 hour 1 minute 1 second');
  expect(speakPosition(120_000)).toBe('2 minutes');
  expect(speakPosition(0)).toBe('0 seconds');
});

test('durations have at most two units', () => {
  expect([400, 4_000, 60_000, 200_000, 3_900_000].map(formatDuration)).toEqual([
    '<1s',
    '4s',
    '1m 00s',
    '3m 20s',
    '1h 05m',
  ]);
});

test('a duration rounds as the position at its end does', () => {
  for (const ms of [1_000, 4_500, 4_999, 59_600, 119_999])
    expect(formatDuration(ms).match(/\d+/g)!.map(Number)).toEqual(
      formatPosition(ms)
        .match(/\d+/g)!
        .map(Number)
        .slice(ms < 60_000 ? 1 : 0),
    );
});

test('how long ago something was', () => {
  const now = 1_000_000_000;
  expect(
    [0, 5 * 60_000, 3 * 3_600_000, 86_400_000, 5 * 86_400_000].map((ms) => formatAgo(now - ms, now)),
  ).toEqual(['just now', '5 min ago', '3 h ago', '1 day ago', '5 days ago']);
});

test('of an address the path is shown, of anything else all', () => {
  expect(shortUrl('https://a.test/signup/step-2?plan#x')).toBe('/signup/step-2?plan#x');
  expect(shortUrl('about:nothing at all')).not.toBe('');
  expect(shortUrl('no address')).toBe('no address');
});
