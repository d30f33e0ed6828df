import { createHash, timingSafeEqual } from 'node:crypto';
import type { RecorderSettings } from '#protocol';

/**
 * Projects: who may record, who may read, and for how long what is recorded is kept.
 * One document in the store holds them all (`#layout` says where); every role reads it again every few seconds.
 */
export interface ProjectsDocument {
  v: 1;
  /** Signs session tokens. 32 random bytes, base64url. */
  secret: string;
  projects: Project[];
}

export interface Project {
  /** `[a-z0-9-]{1,32}` */
  id: string;
  retentionDays: RetentionDays;
  writeKeys: WriteKey[];
  apiKeys: ApiKey[];
  /** Share of new sessions that are recorded, 0 to 1. Absent: all. */
  sampleRate?: number;
  /** The kill switch: recorders that run stop within seconds, others do not begin, and nothing more is stored. */
  recordingPaused?: boolean;
}

export interface WriteKey {
  /** `wk_…`; public, for it stands in the page. */
  key: string;
  /** Origins that may record with it, as `https://shop.example` or `http://localhost:*`; `*` for any. */
  origins: string[];
}

export interface ApiKey {
  name: string;
  /** SHA-256 of `ak_…`, hex. The key itself is shown once and not kept. */
  hash: string;
  scopes: Scope[];
}

export const SCOPES = ['query', 'play', 'erase', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** Retention classes by plan: Starter, Professional, Business, Enterprise. A project may have any other. */
export const RETENTION_DAYS: readonly RetentionDays[] = [30, 90, 180, 365];
/** Whole days, from 1 to RETENTION_DAYS_MAX. */
export type RetentionDays = number;
export const RETENTION_DAYS_MAX = 3650;
export const isRetentionDays = (days: unknown): days is RetentionDays =>
  Number.isInteger(days) && (days as number) >= 1 && (days as number) <= RETENTION_DAYS_MAX;

export const PROJECT_ID = /^[a-z0-9-]{1,32}$/;

/** Where a service gets the document from; `current` costs nothing and is at most a few seconds old. */
export interface ProjectSource {
  current(): ProjectsDocument;
}

/** For who reads the document. @throws Error that names the project and the value that cannot be */
export function checkProjects(doc: ProjectsDocument): ProjectsDocument {
  for (const { id, retentionDays, sampleRate, recordingPaused } of doc.projects) {
    if (!isRetentionDays(retentionDays))
      throw new Error(
        `retentionDays of project ${id} is ${JSON.stringify(retentionDays)}, not a whole number from 1 to ${RETENTION_DAYS_MAX}`,
      );
    if (sampleRate !== undefined && !(typeof sampleRate === 'number' && sampleRate >= 0 && sampleRate <= 1))
      throw new Error(
        `sampleRate of project ${id} is ${JSON.stringify(sampleRate)}, not a number from 0 to 1`,
      );
    if (recordingPaused !== undefined && typeof recordingPaused !== 'boolean')
      throw new Error(
        `recordingPaused of project ${id} is ${JSON.stringify(recordingPaused)}, not true or false`,
      );
  }
  return doc;
}

/** What a project's recorders are told. One that is gone wants nothing. */
export function settingsOf(doc: ProjectsDocument, projectId: string): RecorderSettings {
  const project = doc.projects.find(({ id }) => id === projectId);
  if (!project || project.recordingPaused) return { record: false };
  const { sampleRate } = project;
  return { record: true, ...(sampleRate !== undefined && { sampleRate }) };
}

export const hashApiKey = (key: string): string => createHash('sha256').update(key).digest('hex');

export function findWriteKey(
  doc: ProjectsDocument,
  key: string,
): { project: Project; writeKey: WriteKey } | undefined {
  for (const project of doc.projects) {
    const writeKey = project.writeKeys.find((candidate) => candidate.key === key);
    if (writeKey) return { project, writeKey };
  }
  return undefined;
}

export function findApiKey(
  doc: ProjectsDocument,
  key: string,
): { project: Project; apiKey: ApiKey } | undefined {
  const hash = Buffer.from(hashApiKey(key), 'hex');
  for (const project of doc.projects) {
    const apiKey = project.apiKeys.find((candidate) =>
      timingSafeEqual(Buffer.from(candidate.hash, 'hex'), hash),
    );
    if (apiKey) return { project, apiKey };
  }
  return undefined;
}

/** An allowed origin may end in `:*` for any port; a request without Origin passes only where `*` stands. */
export const originAllowed = (writeKey: WriteKey, origin: string | undefined): boolean =>
  writeKey.origins.some(
    (allowed) =>
      allowed === '*' ||
      allowed === origin ||
      (allowed.endsWith(':*') &&
        origin !== undefined &&
        origin.replace(/:\d+$/, '') === allowed.slice(0, -2)),
  );
