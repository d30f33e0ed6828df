import type { Counter, Gauge, Histogram, Metrics } from './service.ts';

export interface CollectorMetrics {
  connections: Gauge;
  sessions: Counter;
  frames: Counter;
  bytes: Counter;
  acks: Counter;
  appendSeconds: Histogram;
  rejections: Counter<'code'>;
  streamFailures: Counter<'code'>;
  gateClosed: Gauge;
}

const APPEND_BUCKETS_S = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];

export const createCollectorMetrics = (metrics: Metrics): CollectorMetrics => ({
  connections: metrics.gauge('collector_connections', 'open sockets of recorders'),
  sessions: metrics.counter('collector_sessions_total', 'sessions started'),
  frames: metrics.counter('collector_frames_total', 'batch frames taken in'),
  bytes: metrics.counter('collector_bytes_total', 'bytes of batch frames taken in'),
  acks: metrics.counter('collector_acks_total', 'acks sent; one may be for several frames'),
  appendSeconds: metrics.histogram(
    'collector_append_seconds',
    'from a batch frame taken in to its being durable',
    APPEND_BUCKETS_S,
  ),
  rejections: metrics.counter('collector_rejections_total', 'recorders turned away, by code', ['code']),
  streamFailures: metrics.counter(
    'collector_stream_failures_total',
    'appends that the stream did not take, by code',
    ['code'],
  ),
  gateClosed: metrics.gauge('collector_stream_closed', '1 while the stream takes no batches'),
});
