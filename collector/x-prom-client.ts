import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram };

/** Makes metrics named `mutoscope_<name>`. Asking twice for one name gives the same metric. */
export interface Metrics {
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>;
  gauge<L extends string = never>(name: string, help: string, labels?: readonly L[]): Gauge<L>;
  histogram<L extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labels?: readonly L[],
  ): Histogram<L>;
  text(): Promise<string>;
  contentType: string;
}

export function createMetrics({ process: ofProcess = true } = {}): Metrics {
  const registry = new Registry();
  if (ofProcess) collectDefaultMetrics({ register: registry });
  const once = <M>(name: string, make: (fullName: string) => M): M =>
    (registry.getSingleMetric(`mutoscope_${name}`) as M | undefined) ?? make(`mutoscope_${name}`);
  const registers = [registry];
  return {
    counter: (name, help, labelNames = []) =>
      once(name, (full) => new Counter({ name: full, help, labelNames, registers })),
    gauge: (name, help, labelNames = []) =>
      once(name, (full) => new Gauge({ name: full, help, labelNames, registers })),
    histogram: (name, help, buckets, labelNames = []) =>
      once(name, (full) => new Histogram({ name: full, help, buckets, labelNames, registers })),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
