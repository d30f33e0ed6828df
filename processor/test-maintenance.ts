import { createLog } from '#service';
import { createErasures } from './erasures.ts';
import { createMaintenance, type Maintenance, type MaintenanceParts } from './maintenance.ts';

/** Maintenance that is asked for each act, and tells nobody but who listens. Its grace is ten minutes, its clock the machine's. */
export function quietMaintenance({
  now = Date.now,
  ...parts
}: Pick<MaintenanceParts, 'store' | 'stream' | 'nonce'> & Partial<MaintenanceParts>): Maintenance {
  return createMaintenance({
    now,
    erasures: createErasures(parts.store, now),
    log: createLog('silent'),
    compactIntervalMs: 1000,
    sweepIntervalMs: 1000,
    graceMs: 600_000,
    onSwept: () => {},
    onDamage: () => {},
    onTrouble: () => {},
    ...parts,
  });
}
