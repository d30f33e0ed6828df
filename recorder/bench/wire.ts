import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Place } from './planted.ts';

const DEPTH_MAX = 6;
/** A text of base64 that may hold something. */
const BASE64 = /^[A-Za-z0-9+/_-]{24,}={0,2}$/;

/**
 * All texts in what was sent, also within compressed, encoded and nested parts: JSON in gzip in base64 in a form,
 * deflated parts of an envelope, and so on.
 */
export function textsOf(bytes: Buffer, depth = 0): string[] {
  if (depth > DEPTH_MAX) return [];
  const text = bytes.toString('utf8');
  const found = [text];
  for (const inflated of inflateAll(bytes)) found.push(...textsOf(inflated, depth + 1));
  for (const part of partsOf(text)) found.push(...textsOf(part, depth + 1));
  return found;
}

/** A compressed part may begin anywhere: it is recognised by its first bytes. */
function inflateAll(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length - 2; at++) {
    const isGzip = bytes[at] === 0x1f && bytes[at + 1] === 0x8b;
    const isZlib = bytes[at] === 0x78 && [0x01, 0x5e, 0x9c, 0xda].includes(bytes[at + 1]!);
    if (!isGzip && !isZlib) continue;
    try {
      found.push(
        isGzip
          ? gunzipSync(bytes.subarray(at), { finishFlush: 2 })
          : inflateSync(bytes.subarray(at), { finishFlush: 2 }),
      );
    } catch {
      // Not the beginning of one.
    }
  }
  if (!found.length && bytes.length < 100_000)
    try {
      found.push(inflateRawSync(bytes));
    } catch {
      // Nor deflated without a header.
    }
  return found.filter(({ length }) => length > 0);
}

/** Strings in JSON, lines and form fields that hold more than they show. */
function partsOf(text: string): Buffer[] {
  const parts: Buffer[] = [];
  const look = (value: string): void => {
    if (value.startsWith('\x1f\x8b')) parts.push(Buffer.from(value, 'latin1'));
    else if (BASE64.test(value)) parts.push(Buffer.from(value, 'base64'));
    else if (/^\s*[[{]/.test(value) && value !== text) parts.push(Buffer.from(value));
  };
  const walk = (value: unknown): void => {
    if (typeof value === 'string') look(value);
    else if (value && typeof value === 'object') for (const inner of Object.values(value)) walk(inner);
  };
  for (const line of [text, ...(text.length < 1_000_000 ? text.split('\n') : [])])
    try {
      walk(JSON.parse(line));
    } catch {
      // No JSON.
    }
  if (/^[\w-]+=[^&\n]*(&|$)/.test(text)) for (const value of new URLSearchParams(text).values()) look(value);
  look(text.trim());
  return parts;
}

/** The places of which something is in the texts: as it is, encoded for a URL, backwards, in whatever case. */
export function leaksIn(texts: string[], places: readonly Place[]): Place[] {
  const haystack = texts.join('\n').toLowerCase();
  const decoded = haystack.replace(/%[0-9a-f]{2}/g, (code) =>
    String.fromCharCode(parseInt(code.slice(1), 16)),
  );
  return places.filter(({ needles }) =>
    needles
      .map((needle) => needle.toLowerCase())
      .flatMap((needle) => [needle, [...needle].reverse().join('')])
      .some((needle) => haystack.includes(needle) || decoded.includes(needle)),
  );
}

/** Serves a built recorder of someone else, answers what it asks for, and keeps all that it sends. */
export class Sink {
  readonly sent: Buffer[] = [];
  private readonly server: Server;

  constructor(folder: string) {
    this.server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const url = new URL(request.url!, 'http://sink');
      response.setHeader('access-control-allow-origin', request.headers.origin ?? '*');
      response.setHeader('access-control-allow-credentials', 'true');
      response.setHeader(
        'access-control-allow-headers',
        String(request.headers['access-control-request-headers'] ?? '*'),
      );
      if (request.method === 'OPTIONS') return void response.end();
      if (url.pathname.endsWith('.js') && request.method === 'GET' && url.pathname.startsWith('/built/')) {
        const file = await readFile(join(folder, url.pathname.slice('/built/'.length)));
        return void response.setHeader('content-type', 'text/javascript').end(file);
      }
      this.sent.push(Buffer.from(request.url!), Buffer.concat(chunks));
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer(url.pathname)));
    });
  }
  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

/** What the collectors of the others answer when a recorder may begin. */
function answer(path: string): unknown {
  if (path.includes('/v1/web/start'))
    return {
      token: 'token',
      userUUID: 'visitor',
      projectID: '1',
      sessionID: '1',
      startTimestamp: Date.now(),
      delay: 0,
      timestamp: Date.now(),
      beaconSizeLimit: 1_000_000,
      compressionThreshold: 24_000,
      features: {},
      userBrowser: '',
      userOS: '',
      userDevice: '',
      userCity: '',
      userState: '',
      userCountry: '',
    };
  if (/flags|decide|config/.test(path))
    return {
      sessionRecording: { endpoint: '/s/', recorderVersion: 'v2', consoleLogRecordingEnabled: true },
      supportedCompression: ['gzip', 'gzip-js'],
      featureFlags: {},
      flags: {},
      errorsWhileComputingFlags: false,
      hasFeatureFlags: false,
      autocapture_opt_out: false,
      capturePerformance: { network_timing: true },
      quotaLimited: [],
    };
  return { status: 1 };
}
