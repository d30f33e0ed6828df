import type { TokenProvider } from './client.ts';
import { mount, type PlayerHandle } from './mount.tsx';
import playerCss from './player.css?inline';
import tokensCss from './tokens.css?inline';

// A server that only imports the module has no HTMLElement.
const Base = (globalThis.HTMLElement ?? class {}) as typeof HTMLElement;
let sheets: CSSStyleSheet[] | undefined;

/**
 * `<session-player session="…" src="https://query.example" at="1764000000000" autoplay>`
 *
 * Attributes: `src` (base address of the query service; default this origin), `session`, `at` (epoch milliseconds) or
 * `t` (seconds from the start), `speed`, `autoplay`, `theme` (`light`, `dark`, `auto`: as the system is; default).
 * Property `tokenProvider`: gives the bearer for each request. Events, all composed: `sp-ready`, `sp-time`, `sp-state`,
 * `sp-error`. Parts: `player`, `bar`, `stage`, `timeline`, `controls`, `events`, `error`. Colours and fonts: `--sp-*`.
 * Moving the element to another place in the document begins anew at the position that it had.
 */
export class SessionPlayer extends Base {
  static readonly observedAttributes = ['src', 'session', 'at', 't', 'speed'];
  #handle: PlayerHandle | undefined;
  #tokenProvider: TokenProvider | undefined;
  #resumeMs: number | undefined;
  #mounting = false;

  get tokenProvider(): TokenProvider | undefined {
    return this.#tokenProvider;
  }
  set tokenProvider(provider: TokenProvider | undefined) {
    this.#tokenProvider = provider;
  }

  connectedCallback(): void {
    if (!this.shadowRoot) {
      sheets ??= [tokensCss, playerCss].map((css) => {
        const sheet = new CSSStyleSheet();
        sheet.replaceSync(css);
        return sheet;
      });
      this.attachShadow({ mode: 'open' }).adoptedStyleSheets = sheets;
    }
    this.#mountSoon();
  }

  disconnectedCallback(): void {
    this.#resumeMs = this.#handle?.positionMs;
    this.#unmount();
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after || !this.isConnected) return;
    const handle = this.#handle;
    if (!handle || name === 'src' || name === 'session') {
      this.#resumeMs = undefined;
      return this.#mountSoon();
    }
    if (after === null) return;
    if (name === 'speed') handle.setSpeed(this.#number('speed') ?? 1);
    else if (name === 't') handle.seek((this.#number('t') ?? 0) * 1000);
    else if (handle.startMs !== undefined) handle.seek((this.#number('at') ?? 0) - handle.startMs);
  }

  play(): void {
    this.#handle?.play();
  }
  pause(): void {
    this.#handle?.pause();
  }
  /** Milliseconds from the start. */
  seek(positionMs: number): void {
    this.#handle?.seek(positionMs);
  }
  get state(): PlayerHandle['state'] {
    return this.#handle?.state ?? 'loading';
  }
  get positionMs(): number {
    return this.#handle?.positionMs ?? 0;
  }
  get durationMs(): number {
    return this.#handle?.durationMs ?? 0;
  }
  /** The replayed document, for tests; it changes with every seek. */
  get stageDocument(): Document | undefined {
    return this.#handle?.stageDocument;
  }

  /** Once for all attributes and properties that are set in one go. */
  #mountSoon(): void {
    if (this.#mounting) return;
    this.#mounting = true;
    queueMicrotask(() => {
      this.#mounting = false;
      this.#unmount();
      if (this.isConnected && this.getAttribute('session')) this.#mount();
    });
  }

  #mount(): void {
    const emit = (name: string, detail: object): void =>
      void this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
    const resumeMs = this.#resumeMs;
    this.#handle = mount(this.shadowRoot!, {
      src: this.getAttribute('src') ?? '',
      session: this.getAttribute('session')!,
      at: resumeMs === undefined ? this.#number('at') : undefined,
      t: resumeMs === undefined ? this.#number('t') : resumeMs / 1000,
      speed: this.#number('speed'),
      autoplay: this.hasAttribute('autoplay'),
      tokenProvider: () => this.#tokenProvider?.(),
      on: {
        ready: (detail) => emit('sp-ready', detail),
        time: (detail) => emit('sp-time', detail),
        state: (detail) => emit('sp-state', detail),
        error: (detail) => emit('sp-error', detail),
      },
    });
  }

  #unmount(): void {
    this.#handle?.dispose();
    this.#handle = undefined;
  }

  #number(name: string): number | undefined {
    const value = this.getAttribute(name);
    return value === null || value.trim() === '' || !Number.isFinite(Number(value))
      ? undefined
      : Number(value);
  }
}
