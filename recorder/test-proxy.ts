import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** Mulberry32: numbers in [0, 1) that a seed decides. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One connection through the proxy. Its bytes go through a gate in each direction, in order. */
class Link {
  /** Closed: what the browser sends is kept, also when it has gone since. */
  isHeld = false;
  private readonly client: Socket;
  private readonly server: Socket;
  private up: Promise<unknown> = Promise.resolve();
  private open: () => void = () => {};
  private opened: Promise<void> = Promise.resolve();

  constructor(client: Socket, port: number, proxy: TestProxy) {
    this.client = client.setNoDelay(true);
    this.server = connect(port, '127.0.0.1').setNoDelay(true);
    client.on('data', (bytes) => {
      if (proxy.refusesUpgrades && /^GET .*\r\nupgrade: *websocket/is.test(bytes.toString('latin1'))) {
        proxy.refused++;
        return void client.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      }
      if (!proxy.isBlackHole) this.up = this.up.then(() => this.pass(bytes, this.server, proxy));
    });
    let down: Promise<unknown> = Promise.resolve();
    this.server.on('data', (bytes) => {
      if (!proxy.isBlackHole) down = down.then(() => this.pass(bytes, client, proxy));
    });
    // What was on its way still arrives; in a black hole not even the end does.
    client.on('close', () => (this.up = this.up.then(() => this.opened).then(() => this.server.end())));
    this.server.on('close', () => void down.then(() => proxy.isBlackHole || client.destroy()));
    for (const socket of [client, this.server]) socket.on('error', () => undefined);
  }

  hold(): void {
    if (this.isHeld) return;
    this.isHeld = true;
    this.opened = new Promise((resolve) => (this.open = resolve));
  }
  release(): void {
    this.isHeld = false;
    this.open();
  }
  /** The browser loses its end; what was held goes on to the server when it is released. */
  dropClient(): void {
    this.client.destroy();
  }
  cut(): void {
    this.client.destroy();
    this.server.destroy();
    this.release();
  }
  get isClosed(): boolean {
    return this.client.destroyed && this.server.destroyed;
  }

  private async pass(bytes: Buffer, to: Socket, proxy: TestProxy): Promise<void> {
    const { random } = proxy;
    for (let at = 0; at < bytes.length;) {
      const end = proxy.splits ? at + 1 + Math.floor(random() * random() * 4000) : bytes.length;
      if (proxy.delayMsMax) await delay(random() * proxy.delayMsMax);
      if (to === this.server) await this.opened;
      if (!to.destroyed) to.write(bytes.subarray(at, end));
      at = end;
    }
  }
}

/**
 * A TCP proxy on loopback that does to connections what networks do: cuts and delays them, splits what they carry,
 * swallows it, holds it until a later connection has overtaken it, and refuses WebSocket upgrades.
 */
export class TestProxy {
  refusesUpgrades = false;
  /** Nothing passes, and nobody is told; what was swallowed is lost, so `cut` must follow. */
  isBlackHole = false;
  /** Of each piece, at random from 0. */
  delayMsMax = 0;
  splits = false;
  /** Upgrades refused. */
  refused = 0;
  /** Connections taken. */
  taken = 0;
  readonly random: () => number;
  private readonly server: Server;
  private links: Link[] = [];

  constructor(targetPort: () => number, random: () => number = Math.random) {
    this.random = random;
    this.server = createServer((client) => {
      this.taken++;
      this.links = this.links.filter((link) => !link.isClosed);
      this.links.push(new Link(client, targetPort(), this));
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    return this;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  cut(): void {
    for (const link of this.links) link.cut();
  }
  /**
   * Holds what the browser sends on the connections that are open now, then drops its end of them, so that it makes
   * new ones. @returns lets the held bytes arrive
   */
  overtake(): { drop(): void; release(): void } {
    const held = this.links.filter((link) => !link.isClosed);
    for (const link of held) link.hold();
    return {
      drop: () => held.forEach((link) => link.dropClient()),
      release: () => held.forEach((link) => link.release()),
    };
  }
  async close(): Promise<void> {
    this.isBlackHole = false;
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
