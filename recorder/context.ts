import type { Capture } from './capture.ts';
import type { Guard } from './guard.ts';
import type { RecorderOptions } from './options.ts';
import type { CustomPayloads, CustomTag, RecorderHealth } from './protocol.ts';

/** What a part of the recorder knows of itself. */
export type HealthPart = () => Partial<RecorderHealth>;

/** What the core lends to a part that comes in a chunk of its own. */
export interface RecordingContext {
  custom<T extends CustomTag>(tag: T, payload: CustomPayloads[T], timestamp?: number): void;
  /** -1: the node is not part of the recording. */
  idOf(node: Node): number;
  /** Observes each document also by this, those that are there and those that come. */
  observe: Capture['observe'];
  guard: Guard;
  options: RecorderOptions;
  /** A part may add what it knows of itself. */
  parts: HealthPart[];
  healthNow(): RecorderHealth;
  /** Starts a part once its chunk is here; the recording goes on without it where it does not come. */
  late<M>(chunk: Promise<M>, start: (module: M) => () => void): Promise<unknown>;
}
