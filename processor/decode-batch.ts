import { promisify } from 'node:util';
import { gunzip, gunzipSync } from 'node:zlib';
import { BATCH_INFLATED_BYTES_MAX } from '#protocol';

/** An rrweb event as far as it is checked: what stands in `data` is rrweb's affair. */
export interface RecordedEvent {
  type: number;
  timestamp: number;
  data?: unknown;
}

/** Why a batch lies in quarantine. */
export const QUARANTINE_REASONS = {
  bad_record: 'the message is no record: its subject, envelope or frame cannot be read',
  bad_gzip: 'the payload is flagged as gzip and is not, or is damaged',
  too_large: 'the batch is over 8 MiB, or over 32 MiB once inflated',
  bad_json: 'the payload is not a JSON array',
  bad_event: 'an event has no numeric type or no finite timestamp',
  incomplete: 'not all frames of the batch came within 60 s',
} as const;
export type QuarantineReason = keyof typeof QUARANTINE_REASONS;

export class BatchError extends Error {
  readonly code: QuarantineReason;
  constructor(code: QuarantineReason, message: string) {
    super(message);
    this.name = 'BatchError';
    this.code = code;
  }
}

const inflate = promisify(gunzip);
const utf8 = new TextDecoder('utf-8', { fatal: true });
/** So small a payload, as most are, is inflated sooner than handed to another thread. Who decodes many gives way in between. */
const AT_ONCE_BYTES_MAX = 16 * 1024;
/** Date's own bound; past it a timestamp is no instant. */
export const TIMESTAMP_MS_MAX = 8.64e15;

/** A whole batch's payload → its events. Bounded in memory; checks each event by hand, for a schema library costs 30 times more. @throws BatchError */
export async function decodeBatch(payload: Uint8Array, gzipped: boolean): Promise<RecordedEvent[]> {
  const bytes = gzipped ? await inflateBounded(payload) : payload;
  if (bytes.length > BATCH_INFLATED_BYTES_MAX)
    throw new BatchError('too_large', `payload of ${bytes.length} bytes`);
  let events: unknown;
  try {
    events = JSON.parse(utf8.decode(bytes));
  } catch (error) {
    throw new BatchError('bad_json', (error as Error).message);
  }
  if (!Array.isArray(events)) throw new BatchError('bad_json', `payload is ${kindOf(events)}, not an array`);
  events.forEach(checkEvent);
  return events as RecordedEvent[];
}

async function inflateBounded(payload: Uint8Array): Promise<Uint8Array> {
  try {
    const options = { maxOutputLength: BATCH_INFLATED_BYTES_MAX, chunkSize: pieceBytes(payload) };
    return payload.length <= AT_ONCE_BYTES_MAX
      ? gunzipSync(payload, options)
      : await inflate(payload, options);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE')
      throw new BatchError('too_large', `payload inflates to more than ${BATCH_INFLATED_BYTES_MAX} bytes`);
    throw new BatchError('bad_gzip', message);
  }
}

/** So that what comes out is one piece as a rule: gzip ends with its length, which need not be true. */
function pieceBytes(payload: Uint8Array): number {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const told = payload.length < 4 ? 0 : view.getUint32(payload.length - 4, true);
  return Math.min(Math.max(told + 1, PIECE_BYTES_MIN), PIECE_BYTES_MAX);
}
const PIECE_BYTES_MIN = 1024;
const PIECE_BYTES_MAX = 1024 * 1024;

function checkEvent(event: unknown, i: number): void {
  if (typeof event !== 'object' || event === null || Array.isArray(event))
    throw new BatchError('bad_event', `event ${i} is ${kindOf(event)}, not an object`);
  const { type, timestamp } = event as Record<string, unknown>;
  if (typeof type !== 'number' || !Number.isInteger(type) || type < 0 || type > 0x7fffffff)
    throw new BatchError('bad_event', `event ${i} has type ${JSON.stringify(type)}`);
  if (typeof timestamp !== 'number' || !(Math.abs(timestamp) <= TIMESTAMP_MS_MAX))
    throw new BatchError('bad_event', `event ${i} has timestamp ${JSON.stringify(timestamp)}`);
}

const kindOf = (value: unknown): string => (value === null ? 'null' : typeof value);
