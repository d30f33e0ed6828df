/**
 * Assets: images, style sheets and fonts of a page that a replay could not fetch later. Each is named by its content,
 * `<SHA-256, hex>.<ending>`; kept once for a project, retention class and day; and taken, kept and served only when
 * it is of one of these types.
 *
 * The recorder asks by an ASSETS frame which names are wanted, is answered by WANT, and sends each wanted one as a
 * custom event `asset` in a BATCH of a recorder instance of its own. What stood where is told by `asset_ref` events.
 */
export const ASSET_TYPES = {
  'image/png': 'png',
  'image/jpeg': 'jpg',
  'image/gif': 'gif',
  'image/webp': 'webp',
  'image/avif': 'avif',
  'image/svg+xml': 'svg',
  'image/bmp': 'bmp',
  'image/x-icon': 'ico',
  'text/css': 'css',
  'font/woff2': 'woff2',
  'font/woff': 'woff',
  'font/ttf': 'ttf',
  'font/otf': 'otf',
} as const;
export type AssetType = keyof typeof ASSET_TYPES;

/** One asset may weigh this; all of one page so many and this. */
export const ASSET_BYTES_MAX = 1_000_000;
export const PAGE_ASSETS_MAX = 50;
export const PAGE_ASSETS_BYTES_MAX = 5_000_000;

const NAME = /^[0-9a-f]{64}\.([a-z0-9]+)$/;

/** Of a hash and the content type that a server gave; undefined when it is not one of ASSET_TYPES. */
export function assetName(hash: string, type: string): string | undefined {
  const name = `${hash}.${ASSET_TYPES[type as AssetType]}`;
  return assetType(name) && name;
}
/** Undefined when it is no name of an asset. */
export function assetType(name: string): AssetType | undefined {
  const ending = NAME.exec(name)?.[1];
  return (Object.keys(ASSET_TYPES) as AssetType[]).find((type) => ASSET_TYPES[type] === ending);
}

/** Payload of ASSETS. */
export interface AssetsQuestion {
  /** Names, at most PAGE_ASSETS_MAX. */
  ask: string[];
  /** By POST only: names of what the BATCH frames of the same body end. */
  stored?: string[];
}
/** Payload of WANT. */
export interface AssetsAnswer {
  want: string[];
}

/** Payload of `asset`. In the lake `bytes` stands in the place of `base64`. */
export interface AssetPayload {
  name: string;
  /** Where it was found, without query values. */
  url: string;
  base64: string;
}
/** Payload of `asset_ref`. */
export interface AssetRefPayload {
  url: string;
  name: string;
  /** rrweb's ids of the elements that show it; absent when a style sheet names it. */
  ids?: number[];
}
