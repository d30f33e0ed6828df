import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** `node deploy/wait-for.ts host:port …`: ends once each of them takes connections, or with 1 after two minutes. */
const WAIT_MS_MAX = 120_000;
const RETRY_MS = 500;

const endMs = Date.now() + WAIT_MS_MAX;
for (const address of process.argv.slice(2)) {
  const at = address.lastIndexOf(':');
  for (;;) {
    const socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)) });
    const failure = await once(socket, 'connect', { signal: AbortSignal.timeout(5000) }).then(
      () => undefined,
      (error: Error) => error.message,
    );
    socket.destroy();
    if (failure === undefined) break;
    if (Date.now() > endMs) {
      console.error(`${address} did not answer within ${WAIT_MS_MAX / 1000} s: ${failure}`);
      process.exit(1);
    }
    await delay(RETRY_MS);
  }
}
