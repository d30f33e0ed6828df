import type { ApiErrorCode, SessionManifest } from '#api';

/** `unreachable`: no answer at all. `unreadable`: an answer that is not what the contract says. */
export type PlayerErrorCode = ApiErrorCode | 'unreachable' | 'unreadable';

export class PlayerError extends Error {
  readonly code: PlayerErrorCode;
  /** 0 when there was no answer. */
  readonly status: number;
  constructor(code: PlayerErrorCode, message: string, status = 0, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PlayerError';
    this.code = code;
    this.status = status;
  }
}

export type TokenProvider = () => string | undefined | Promise<string | undefined>;

export interface Client {
  json<T>(path: string, init?: RequestInit): Promise<T>;
  bytes(path: string, init?: RequestInit): Promise<Uint8Array>;
  send(path: string, init?: RequestInit): Promise<Response>;
}

/**
 * Asks the query service. `src` is its base address; empty means the page's own origin.
 * Every method throws PlayerError, or the AbortError of the signal it was given.
 */
export function createClient(src: string, token: TokenProvider): Client {
  const base = src.replace(/\/+$/, '');
  const send = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    const bearer = await token();
    if (bearer) headers.set('authorization', `Bearer ${bearer}`);
    let response: Response;
    try {
      response = await fetch(base + path, { ...init, headers });
    } catch (error) {
      if ((error as Error).name === 'AbortError') throw error;
      throw new PlayerError('unreachable', `no answer from ${base || location.origin}`, 0, { cause: error });
    }
    if (!response.ok) throw await toError(response);
    return response;
  };
  return {
    send,
    json: async <T>(path: string, init?: RequestInit): Promise<T> => {
      const response = await send(path, init);
      try {
        return (await response.json()) as T;
      } catch (error) {
        if ((error as Error).name === 'AbortError') throw error;
        throw new PlayerError('unreadable', `the answer to ${path} is not JSON`, response.status, {
          cause: error,
        });
      }
    },
    bytes: async (path, init) => new Uint8Array(await (await send(path, init)).arrayBuffer()),
  };
}

async function toError(response: Response): Promise<PlayerError> {
  const fallback: PlayerErrorCode =
    response.status === 401 ? 'unauthorized' : response.status === 403 ? 'forbidden' : 'internal';
  try {
    const { error } = (await response.json()) as { error: { code: PlayerErrorCode; message: string } };
    return new PlayerError(error.code, error.message, response.status);
  } catch {
    return new PlayerError(fallback, `the server answered ${response.status}`, response.status);
  }
}

export const manifestPath = (session: string): string =>
  `/v1/sessions/${encodeURIComponent(session)}/manifest`;
export const markersPath = (session: string): string => `/v1/sessions/${encodeURIComponent(session)}/markers`;
export const segmentPath = (session: string, n: number): string =>
  `/v1/sessions/${encodeURIComponent(session)}/segments/${n}`;

export const assetPath = (session: string, name: string): string =>
  `/v1/sessions/${encodeURIComponent(session)}/assets/${encodeURIComponent(name)}`;

export const fetchManifest = (
  client: Client,
  session: string,
  signal?: AbortSignal,
): Promise<SessionManifest> => client.json<SessionManifest>(manifestPath(session), { signal });
