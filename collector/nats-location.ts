import { StreamError } from './stream.ts';

const DEFAULT_NAME = 'REC';

/** Where a stream is on NATS. */
export interface NatsPlace {
  hosts: string[];
  tls: boolean;
  user?: string;
  pass?: string;
  token?: string;
  name: string;
  replicas: number;
}

const LOCATION = /^(nats|tls):\/\/(?:([^@/?]*)@)?([^@/?]+)\/?([A-Za-z0-9_-]*)(?:\?(.*))?$/;

/** @throws StreamError `stream_unavailable`. Form: `nats://[user:pass@|token@]host:port[,host:port…][/STREAM][?replicas=3]` */
export function parseNatsLocation(location: string): NatsPlace {
  const [, scheme, credentials, hosts, name, query] = LOCATION.exec(location) ?? [];
  const replicas = Number(new URLSearchParams(query).get('replicas') ?? 1);
  if (!hosts || ![1, 3, 5].includes(replicas))
    throw new StreamError(
      'stream_unavailable',
      'address of the stream is not nats://host:port[/NAME][?replicas=1|3|5]',
    );
  const [user, pass] = (credentials ?? '').split(':').map(decodeURIComponent);
  return {
    hosts: hosts.split(','),
    tls: scheme === 'tls',
    ...(pass === undefined ? user && { token: user } : { user, pass }),
    name: name || DEFAULT_NAME,
    replicas,
  };
}

/** Subjects of a stream with a name of its own begin with it, so that several can share a server. */
export const subjectPrefix = (name: string): string => (name === DEFAULT_NAME ? '' : `${name}.`);
