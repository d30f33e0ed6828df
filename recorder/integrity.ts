import { createHash } from 'node:crypto';

/** What a browser compares a file with (Subresource Integrity). Of the file's exact bytes. */
export const integrityOf = (bytes: string | Uint8Array, algorithm: 'sha256' | 'sha384' = 'sha384'): string =>
  `${algorithm}-${createHash(algorithm).update(bytes).digest('base64')}`;

/** `x.y.z-` and 10 hexadecimal digits of what the loader loads: files under this name never change. */
export const versionOf = (semver: string, loader: string): string =>
  `${semver}-${createHash('sha256').update(loader).digest('hex').slice(0, 10)}`;

/** Fills the loader's places: the core's address and hash, and the collector's address, seen from the loader. */
export function fillLoader(
  code: string,
  { core, integrity, base }: { core: string; integrity: string; base: string },
): string {
  const values: [string, string][] = [
    ['__CORE__', core],
    ['__INTEGRITY__', integrity],
    ['__BASE__', base],
  ];
  for (const [place, value] of values) {
    if (code.split(place).length !== 2) throw new Error(`the loader must have one ${place}`);
    code = code.replace(place, value);
  }
  return code;
}

const CHUNK_IMPORT = /\bimport\((["'`])\.\/([\w.-]+\.js)\1\)/g;
/** What Vite puts around it, for styles that our chunks do not have. */
const WITH_STYLES = /\b[\w$]+\(\(\)=>(import\([^)]*\)),\[\]\)/g;
/** As in `loader.ts`: a link whose hash is right comes before the import. Here for chunks; the path is the module's. */
const CHECKED_IMPORT = `const $checked=(path,integrity)=>{const href=new URL(path,import.meta.url).href,link=document.createElement("link");return new Promise((resolve,reject)=>{if(!link.relList.supports(link.rel="modulepreload"))return resolve();link.integrity=integrity;link.crossOrigin="";link.href=href;link.onload=resolve;link.onerror=reject;document.head.append(link)}).finally(()=>link.remove()).then(()=>import(href))};`;

/**
 * Lets a module import its chunks only as they were built. What those import themselves, unless the module has it
 * already, the browser does not check: that takes an import map with `integrity` in the page.
 * @param hashes by file name
 */
export function checkImports(code: string, hashes: ReadonlyMap<string, string>): string {
  let isUsed = false;
  const checked = code.replace(WITH_STYLES, '$1').replace(CHUNK_IMPORT, (text, _quote, name: string) => {
    const hash = hashes.get(name);
    if (!hash) return text;
    isUsed = true;
    return `$checked("./${name}","${hash}")`;
  });
  // The notice of the licences stays ahead.
  return isUsed ? checked.replace(/^(\/\*.*?\*\/\n)?/, (notice) => notice + CHECKED_IMPORT) : checked;
}
