import type { Moment } from './test-gallery.ts';
import type { GalleryPage } from './test-pages.ts';

/** An HTML page of the pairs with their difference, the worst first; the pictures lie beside it. */
export function reportOf(moments: Moment[], pages: readonly GalleryPage[]): string {
  const sorted = moments.toSorted((a, b) => b.differentPct - a.differentPct);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Mutoscope gallery</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 24px; background: #f8f9fa; color: #212529 }
section { margin: 24px 0 }
h2 { font-size: 15px; margin: 0 0 6px } h2 b { font-variant-numeric: tabular-nums }
.row { display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px }
img { width: 100%; border: 1px solid #ced4da; display: block }
</style>
<h1>Live, replayed, and what differs</h1>
<p>${moments.length} moments of ${new Set(moments.map(({ page }) => page)).size} pages. Grey is masked by design and does not count.</p>
${sorted.map((moment) => section(moment, pages)).join('\n')}
</html>
`;
}

export const pictureOf = ({ page, label }: Moment, kind: string): string =>
  `${page}.${label.replaceAll(/\W+/g, '-')}.${kind}.png`;

function section(moment: Moment, pages: readonly GalleryPage[]): string {
  const { page, label, differentPct, coveredPct } = moment;
  const allowance = pages.find(({ name }) => name === page)?.allowance;
  const note = allowance ? `<p>Up to ${allowance.pct} % is known: ${allowance.reason}.</p>` : '';
  const img = (kind: string): string => `<img src="${pictureOf(moment, kind)}" alt="${kind}" loading="lazy">`;
  return `<section><h2><b>${differentPct.toFixed(3)} %</b> ${page}: ${label} (${coveredPct.toFixed(1)} % covered)</h2>${note}
<div class="row">${['live', 'replayed', 'difference'].map(img).join('')}</div></section>`;
}
