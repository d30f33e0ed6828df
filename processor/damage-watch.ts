import type { Log } from '#service';
import { encodeJson } from './lake-reader.ts';
import { paths, type DamageReport } from './layout.ts';
import type { Store, StoreError } from './store.ts';

/** What maintenance meets that is damaged or gone. */
export interface DamageWatch {
  onDamage(error: StoreError): void;
  /** What was met before is to be met again. */
  begin(): void;
  /** Logs what is new since the last report. @returns how many there are */
  tell(): number;
  /** Tells, and writes for `doctor` what there is now. @throws StoreError */
  report(nowMs: number): Promise<number>;
}

export function createDamageWatch({ store, log }: { store: Store; log: Log }): DamageWatch {
  const met = new Map<string, StoreError>();
  const told = new Set<string>();
  /** Undefined: what an earlier process wrote. */
  let written: string | undefined;
  const tell = (): number => {
    for (const [message, error] of met) {
      if (told.has(message)) continue;
      told.add(message);
      log.warn({ err: error }, 'what needs this object of the lake is not done; look with mutoscope fsck');
    }
    return met.size;
  };
  return {
    onDamage: (error) => void met.set(error.message, error),
    begin: () => met.clear(),
    tell,
    async report(nowMs) {
      tell();
      for (const message of told) if (!met.has(message)) told.delete(message);
      const objects = Array.from(met.values(), ({ key, message }) => ({ key, why: message }));
      const text = JSON.stringify(objects);
      if (text !== written) {
        const report: DamageReport = { v: 1, atMs: nowMs, objects };
        if (objects.length) await store.put(paths.damageReport, encodeJson(report));
        else await store.remove([paths.damageReport]);
        written = text;
      }
      return met.size;
    },
  };
}
