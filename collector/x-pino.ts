import { pino, type Logger } from 'pino';

export type Log = Logger;

export const createLog = (level: string, fields: Record<string, unknown> = {}): Log =>
  pino({
    level,
    base: fields,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
  });
