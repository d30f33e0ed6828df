import { recordedTitle } from './masking.ts';
import type { CustomPayloads } from './protocol.ts';
import { scrubUrl } from './scrub.ts';

export const environmentNow = (recorder: string): CustomPayloads['environment'] => ({
  userAgent: navigator.userAgent,
  language: navigator.language,
  screen: [screen.width, screen.height],
  referrer: scrubUrl(document.referrer),
  recorder,
});

type Navigation = CustomPayloads['navigation'];
export const navigationNow = (kind: Navigation['kind']): Navigation => ({
  kind,
  url: scrubUrl(location.href),
  title: recordedTitle(),
});
