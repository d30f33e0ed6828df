import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Of packages that ship no licence file: the copyright line of their repository. */
const COPYRIGHTS: Record<string, string> = {
  '@rrweb/record':
    'Copyright (c) 2018 Contributors (https://github.com/rrweb-io/rrweb/graphs/contributors) and SmartX Inc.',
};
const MIT = `Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

/** The directories of the packages that these modules are of, each once. Pure. */
export function packagesOf(moduleIds: readonly string[]): string[] {
  const found = moduleIds.flatMap(
    (id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id.replaceAll('\\', '/'))?.[0] ?? [],
  );
  return [...new Set(found)].sort();
}

/** @throws Error that names a package of unknown licence */
export function noticesOf(moduleIds: readonly string[]): string {
  const notices = packagesOf(moduleIds).map((dir) => {
    const { name, version, license } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    const file = readdirSync(dir).find((entry) => /^licen[cs]e(\.\w+)?$/i.test(entry));
    const copyright = COPYRIGHTS[name!];
    if (!file && !(copyright && license === 'MIT')) throw new Error(`${name} comes without a licence`);
    const text = file ? readFileSync(join(dir, file), 'utf8').trim() : `${copyright}\n\n${MIT}`;
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  return ['The files of this package contain code of the following packages.\n', ...notices].join(
    `\n${'-'.repeat(80)}\n\n`,
  );
}
