import type { RecordingContext } from './context.ts';
import { patch } from './patch.ts';
import { MASK } from './protocol.ts';
import { isSecretName, redactText, typedValues } from './redact.ts';

const LEVELS = ['debug', 'log', 'info', 'warn', 'error'] as const;
/** Told in a page load. */
const LINES_MAX = 1000;
const LINE_CHARS_MAX = 1024;
const DEPTH_MAX = 2;
const ENTRIES_MAX = 10;

/** Tells what the page writes to its console, masked. */
export function observeConsole({ custom, guard, parts }: RecordingContext): () => void {
  let lines = 0;
  let isTelling = false;
  const tell = guard((level: string, args: unknown[]) => {
    // What we do ourselves while we tell is no line of the page's.
    if (isTelling || lines++ >= LINES_MAX) return;
    isTelling = true;
    try {
      const words = args
        .slice(0, ENTRIES_MAX)
        .map((arg) => print(arg, 0))
        .join(' ');
      custom('console', { level, text: redactText(words.slice(0, LINE_CHARS_MAX), typedValues()) });
    } finally {
      isTelling = false;
    }
  });
  const stops = LEVELS.map((level) =>
    patch(console, level, (call, _self, args: unknown[]) => {
      tell(level, args);
      return call();
    }),
  );
  parts.push(() => (lines > LINES_MAX ? { linesSkipped: lines - LINES_MAX } : {}));
  return () => stops.forEach((stop) => stop());
}

/** Like a console does, but shallow, and without running a getter or a `toString` of the page's. */
function print(value: unknown, depth: number): string {
  if (typeof value === 'string')
    return depth ? JSON.stringify(value.slice(0, LINE_CHARS_MAX)) : value.slice(0, LINE_CHARS_MAX);
  if (typeof value === 'function') return 'function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Node) return `<${value.nodeName.toLowerCase()}>`;
  if (value instanceof Error) return value.stack || value.message;
  if (depth >= DEPTH_MAX) return Array.isArray(value) ? '[…]' : '{…}';
  const names = Object.keys(value).slice(0, ENTRIES_MAX);
  const entries = names.map((name) => {
    const property = Object.getOwnPropertyDescriptor(value, name);
    const printed =
      !property || property.get ? '…' : isSecretName(name) ? MASK : print(property.value, depth + 1);
    return Array.isArray(value) ? printed : `${name}: ${printed}`;
  });
  return Array.isArray(value) ? `[${entries.join(', ')}]` : `{${entries.join(', ')}}`;
}
