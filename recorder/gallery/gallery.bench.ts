import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gallery, type Moment, type Upload } from './test-gallery.ts';
import { PAGES } from './test-pages.ts';
import { pictureOf, reportOf } from './test-report.ts';

/**
 * `node recorder/gallery/gallery.bench.ts [page …]`: all pages, or those named. Writes `.cache/gallery/index.html`,
 * then drives the pages at the pace of a person and counts what they send.
 */
const OUT = join(import.meta.dirname, '../../.cache/gallery');
const UPLOAD_MS = 45_000;
const SEED = 5;
const named = process.argv.slice(2);
const pages = PAGES.filter(({ name }) => !named.length || named.includes(name));

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT, { recursive: true });
const gallery = await Gallery.start();
const moments: Moment[] = [];
await gallery.compareAll(pages, (name, taken) => {
  if (taken instanceof Error) {
    process.exitCode = 1;
    return console.error(`${name}: ${taken.message}`);
  }
  for (const { page, label, differentPct, coveredPct } of taken)
    console.log(
      `${differentPct.toFixed(3).padStart(7)} %  ${coveredPct.toFixed(1).padStart(4)} % covered  ${page}: ${label}`,
    );
  moments.push(...taken);
});
for (const moment of moments)
  for (const kind of ['live', 'replayed', 'difference'] as const)
    writeFileSync(join(OUT, pictureOf(moment, kind)), moment[kind]);
writeFileSync(join(OUT, 'index.html'), reportOf(moments, PAGES));

console.log(`\nan act every 1 to 3 s for ${UPLOAD_MS / 1000} s, seed ${SEED}; the first snapshot counts`);
const uploads: Upload[] = [];
// Eight at a time: a person waits most of the time.
for (let i = 0; i < pages.length; i += 8)
  uploads.push(
    ...(await Promise.all(pages.slice(i, i + 8).map((page) => gallery.upload(page, UPLOAD_MS, SEED)))),
  );
uploads.sort((a, b) => a.bytesPerMin - b.bytesPerMin);
for (const { page, acted, snapshotBytes, bytesPerMin } of uploads)
  console.log(
    `${(bytesPerMin / 1000).toFixed(1).padStart(7)} kB/min  ${(snapshotBytes / 1000).toFixed(1).padStart(6)} kB at first  ${acted} acts  ${page}`,
  );
await gallery.stop();

const allowed = new Set(pages.filter(({ allowance }) => allowance).map(({ name }) => name));
const max = (of: Moment[]): string => Math.max(...of.map(({ differentPct }) => differentPct)).toFixed(3);
console.log(
  `\n${[...allowed].join(', ')} apart: at most ${max(moments.filter(({ page }) => !allowed.has(page)))} %`,
);
console.log(`figure gallery_max_pixel_diff_pct ${max(moments)} %`);
const median = uploads[Math.floor(uploads.length / 2)]!.bytesPerMin / 1000;
console.log(`figure upload_kb_per_min_median ${median.toFixed(1)} kB/min`);
