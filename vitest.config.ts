import { defineConfig } from 'vitest/config';

// The tier is the suffix: x.test.ts needs nothing, x.nats.test.ts a NATS server, x.s3.test.ts an S3 server,
// x.browser.test.ts Chromium, x.readers.test.ts other programs' readers. `deploy/servers.ts` gets them, once a run.
export default defineConfig({
  test: {
    include: ['{recorder,collector,processor,query,player,deploy}/**/*.test.ts'],
    globalSetup: ['deploy/servers.ts'],
    reporters: ['default', './deploy/reporter.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
});
