import { dataUrlOf } from './data-url.ts';
import type { Extra, ExtraHost } from './extras.ts';
import { EventType, IncrementalSource } from './protocol.ts';

const FONT_BYTES_MAX = 256 * 1024;
const FONTS_BYTES_MAX = 1024 * 1024;

type FontSource = ConstructorParameters<typeof FontFace>[1];
/** As rrweb's replayer takes it. The source holds the font itself, for a replay fetches nothing. */
interface FontData {
  source: typeof IncrementalSource.font;
  family: string;
  fontSource: string;
  buffer: false;
  descriptors?: FontFaceDescriptors;
}

/** Tells the fonts that scripts make and put to use, from when the recorder began; again after each full snapshot. */
export function start({ fetch, emit, fail, guard }: ExtraHost): Extra {
  const made = new WeakMap<
    FontFace,
    { source: string | Blob; descriptors: FontFaceDescriptors | undefined }
  >();
  const told: FontData[] = [];
  const seen = new WeakSet<FontFace>();
  let bytes = 0;
  let isStopped = false;

  const send = (data: FontData): void =>
    emit({ type: EventType.incrementalSnapshot, data, timestamp: Date.now() });

  async function tell(face: FontFace): Promise<void> {
    const { source, descriptors } = made.get(face)!;
    const blob = await bytesOf(source);
    if (!blob || blob.size > FONT_BYTES_MAX || bytes + blob.size > FONTS_BYTES_MAX || isStopped) return;
    bytes += blob.size;
    const data: FontData = {
      source: IncrementalSource.font,
      family: face.family,
      fontSource: `url(${await dataUrlOf(blob)})`,
      buffer: false,
      ...(descriptors && { descriptors }),
    };
    told.push(data);
    if (!isStopped) send(data);
  }

  async function bytesOf(source: string | Blob): Promise<Blob | undefined> {
    if (typeof source !== 'string') return source;
    const url = /url\(\s*["']?([^"')]+)/.exec(source)?.[1];
    if (!url) return undefined;
    const response = await fetch(new URL(url, document.baseURI), {
      cache: 'force-cache',
      credentials: 'same-origin',
    });
    return response.ok ? response.blob() : undefined;
  }

  const noteMade = guard((face: FontFace, source: FontSource, descriptors?: FontFaceDescriptors) => {
    // The page may use its buffer for something else.
    const copy = typeof source === 'string' ? source : new Blob([source], { type: 'font/woff2' });
    made.set(face, {
      source: copy,
      descriptors: descriptors && (JSON.parse(JSON.stringify(descriptors)) as FontFaceDescriptors),
    });
  });
  const noteUsed = guard((face: FontFace) => {
    if (!made.has(face) || seen.has(face)) return;
    seen.add(face);
    tell(face).catch((error: unknown) => fail(`font: ${String(error)}`));
  });

  const Native = window.FontFace;
  const Patched = new Proxy(Native, {
    construct(target, args: ConstructorParameters<typeof FontFace>, newTarget) {
      const face = Reflect.construct(target, args, newTarget) as FontFace;
      noteMade(face, args[1], args[2]);
      return face;
    },
  });
  window.FontFace = Patched;
  const prototype = Object.getPrototypeOf(document.fonts) as FontFaceSet;
  const nativeAdd = prototype.add;
  const add = function (this: FontFaceSet, ...args: Parameters<FontFaceSet['add']>): FontFaceSet {
    const result = nativeAdd.apply(this, args);
    if (this === document.fonts) noteUsed(args[0]);
    return result;
  };
  prototype.add = add;

  return {
    onSnapshot: () => told.forEach(send),
    stop: () => {
      isStopped = true;
      // Who patched them after us holds on to ours, which does nothing more.
      if (window.FontFace === Patched) window.FontFace = Native;
      if (prototype.add === add) prototype.add = nativeAdd;
    },
  };
}
