import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Peer } from './connection.ts';

export interface PeerHandlers {
  onMessage(bytes: Uint8Array, isBinary: boolean): void;
  /** The other side broke the WebSocket protocol; it is closed already. */
  onViolation(isTooLarge: boolean): void;
  onClose(): void;
}

/** How long a goodbye may stay unanswered. */
const CLOSE_TIMEOUT_MS = 2_000;
/** The pieces one message may come in; recorders send whole ones. */
const FRAGMENTS_MAX = 64;

/**
 * Turns upgrade requests into peers. Nothing is inflated (payloads are gzipped already), and a message over
 * `messageBytesMax` ends the socket at its header.
 */
export function createSockets(
  messageBytesMax: number,
): (request: IncomingMessage, socket: Duplex, head: Buffer, open: (peer: Peer) => PeerHandlers) => void {
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    closeTimeout: CLOSE_TIMEOUT_MS,
  } as ConstructorParameters<typeof WebSocketServer>[0]);
  return (request, socket, head, open) =>
    server.handleUpgrade(request, socket, head, (ws) => {
      const handlers = open({
        send: (bytes) => {
          if (ws.readyState === ws.OPEN) ws.send(bytes);
        },
        pause: () => ws.pause(),
        resume: () => ws.resume(),
        close: (code, reason) => ws.close(code, reason),
        get unsentBytes() {
          return ws.bufferedAmount;
        },
      });
      ws.on('message', (data, isBinary) => handlers.onMessage(data as Buffer, isBinary));
      ws.on('error', (error: Error & { code?: string }) => {
        if (error.code?.startsWith('WS_ERR_'))
          handlers.onViolation(error.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH');
      });
      ws.on('close', () => handlers.onClose());
    });
}

/** Answers an upgrade request that is not taken. */
export function refuseUpgrade(socket: Duplex, status: string, headers: string[] = []): void {
  socket.on('error', () => undefined);
  socket.end(
    [`HTTP/1.1 ${status}`, 'connection: close', 'content-length: 0', ...headers, '', ''].join('\r\n'),
  );
}
