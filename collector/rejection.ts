import { encodeJsonFrame, FrameType, type WireError, type WireErrorCode } from '#protocol';

/** From when until when a recorder may come back; spread, so that not all come at once. No entry: never. */
const RETRY_AFTER_MS: Partial<Record<WireErrorCode, [min: number, max: number]>> = {
  hello_required: [1_000, 5_000],
  bad_token: [0, 1_000],
  frame_gap: [100, 1_000],
  credit_exceeded: [1_000, 5_000],
  idle: [0, 1_000],
  stream_unavailable: [2_000, 10_000],
  draining: [100, 2_000],
};

/** `random` in [0, 1). */
export function encodeRejection(
  code: WireErrorCode,
  message: string,
  random: number,
): Uint8Array<ArrayBuffer> {
  const range = RETRY_AFTER_MS[code];
  const error: WireError = {
    code,
    message,
    ...(range && { retryAfterMs: Math.round(range[0] + random * (range[1] - range[0])) }),
  };
  return encodeJsonFrame(FrameType.err, error);
}
