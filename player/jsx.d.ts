import type { SessionPlayer } from './element.ts';

/** Attributes of `<session-player>`, for those who write it in JSX. */
export interface SessionPlayerAttributes {
  src?: string;
  session: string;
  at?: number | string;
  t?: number | string;
  speed?: number | string;
  autoplay?: boolean;
  theme?: 'light' | 'dark' | 'auto';
  class?: string;
  ref?: SessionPlayer | ((element: SessionPlayer) => void);
}

declare module 'solid-js' {
  namespace JSX {
    interface IntrinsicElements {
      'session-player': SessionPlayerAttributes;
    }
  }
}
declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'session-player': SessionPlayerAttributes;
    }
  }
}
