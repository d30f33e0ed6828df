/** The message ids of the last `windowMs`, with the number each was given. Appends come in the order of their time. */
export class Duplicates {
  readonly #windowMs: number;
  readonly #byId = new Map<string, { seq: number; appendedMs: number }>();
  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  find(id: string, nowMs: number): number | undefined {
    const found = this.#byId.get(id);
    return found && nowMs - found.appendedMs < this.#windowMs ? found.seq : undefined;
  }

  add(id: string, seq: number, appendedMs: number): void {
    this.#byId.delete(id);
    this.#byId.set(id, { seq, appendedMs });
    for (const [oldest, { appendedMs: atMs }] of this.#byId) {
      if (appendedMs - atMs < this.#windowMs) break;
      this.#byId.delete(oldest);
    }
  }
}
