import { expect, test } from 'vitest';
import { parseNatsLocation, subjectPrefix } from './nats-location.ts';

test.each([
  ['nats://host:4222', { hosts: ['host:4222'], tls: false, name: 'REC', replicas: 1 }],
  ['nats://host:4222/', { hosts: ['host:4222'], tls: false, name: 'REC', replicas: 1 }],
  ['tls://a,b:4223/REC_x?replicas=3', { hosts: ['a', 'b:4223'], tls: true, name: 'REC_x', replicas: 3 }],
  [
    'nats://me:p%40ss@host',
    { hosts: ['host'], tls: false, user: 'me', pass: 'p@ss', name: 'REC', replicas: 1 },
  ],
  ['nats://token@host', { hosts: ['host'], tls: false, token: 'token', name: 'REC', replicas: 1 }],
])('%s', (location, place) => {
  expect(parseNatsLocation(location)).toEqual(place);
});

test.each([
  'nats://',
  'http://host',
  'nats://host/REC.x',
  'nats://host?replicas=many',
  'nats://host?replicas=0',
])('%s is refused, without its credentials in the message', (location) => {
  expect(() => parseNatsLocation(location.replace('//', '//user:secret@'))).toThrow(/^[^@]*$/);
});

test('only the stream with the usual name has its subjects bare', () => {
  expect(subjectPrefix('REC')).toBe('');
  expect(subjectPrefix('REC_x')).toBe('REC_x.');
});
