import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
} from 'node:crypto';
import { encodeJson, getJson } from './lake-reader.ts';
import { paths, type Erasure, type Signature, type VisitorErasure } from './layout.ts';
import { isStoreError, type Store } from './store.ts';

/**
 * Signatures of receipts, by Ed25519. The key pair is made when the first receipt is, and lies in the store beside the
 * projects and their token secret: whoever can read that can write the lake too, so that a better kept key would prove no
 * more. What it proves goes to others: who was given the public key, or its id, sees that a receipt came from this
 * lake and that nothing in it was changed since. Keys are made once (`ifAbsent`), and none is ever replaced.
 */
export interface ReceiptKey {
  v: 1;
  id: string;
  createdMs: number;
  /** PEM, SPKI. */
  publicKey: string;
  /** PEM, PKCS 8. */
  privateKey: string;
}
export interface Signer {
  /** The document with a signature over all of it. @throws StoreError */
  sign<T extends object>(document: T): Promise<T & { signature: Signature }>;
}

export function createSigner(store: Store, now: () => number): Signer {
  let key: Promise<ReceiptKey> | undefined;
  return {
    async sign(document) {
      key ??= newestKey(store, now);
      const { id, privateKey } = await key.catch((error: unknown) => {
        key = undefined;
        throw error;
      });
      const value = sign(null, signedBytes(document), createPrivateKey(privateKey)).toString('hex');
      return { ...document, signature: { algorithm: 'Ed25519', keyId: id, value } };
    },
  };
}

async function newestKey(store: Store, now: () => number): Promise<ReceiptKey> {
  const newest = (await readReceiptKeys(store)).at(-1);
  if (newest) return newest;
  const made = makeKey(now());
  try {
    await store.put(paths.receiptKey(1), encodeJson(made), { ifAbsent: true });
    return made;
  } catch (error) {
    if (!isStoreError(error, 'already_exists')) throw error;
    return getJson<ReceiptKey>(store, paths.receiptKey(1));
  }
}

function makeKey(createdMs: number): ReceiptKey {
  const pair = generateKeyPairSync('ed25519');
  const publicKey = String(pair.publicKey.export({ type: 'spki', format: 'pem' }));
  const privateKey = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { v: 1, id: keyIdOf(publicKey), createdMs, publicKey, privateKey };
}

/** In the order in which they were made. @throws StoreError */
export async function readReceiptKeys(store: Store): Promise<ReceiptKey[]> {
  const keys: ReceiptKey[] = [];
  for await (const { key } of store.list(paths.receiptKeysPrefix)) keys.push(await getJson(store, key));
  return keys;
}

/** @param publicKey PEM. @throws Error when it is none */
export const keyIdOf = (publicKey: string): string =>
  createHash('sha256')
    .update(createPublicKey(publicKey).export({ type: 'spki', format: 'der' }))
    .digest('hex')
    .slice(0, 32);

export type Checked =
  { holds: true; receipt: Erasure | VisitorErasure; keyId: string } | { holds: false; reason: string };

/** Whether a receipt, as the text of its object, was signed by one of the keys (PEM) and is as it was signed. */
export function checkReceipt(text: string, publicKeys: readonly string[]): Checked {
  const refuse = (reason: string): Checked => ({ holds: false, reason });
  let receipt: Erasure | VisitorErasure;
  try {
    receipt = JSON.parse(text) as Erasure | VisitorErasure;
  } catch {
    return refuse('it is not JSON');
  }
  if (typeof receipt !== 'object' || receipt === null || receipt.v !== 1)
    return refuse('it is no receipt of a version that is known here');
  if (!receipt.done) return refuse('it is a tombstone: the erasure is not done');
  const { signature } = receipt;
  if (!signature) return refuse('it has no signature, as receipts before they were signed');
  const publicKey = publicKeys.find((one) => keyIdOf(one) === signature.keyId);
  if (!publicKey) return refuse(`it names the key ${String(signature.keyId)}, which is none of those given`);
  const value = Buffer.from(String(signature.value), 'hex');
  // Letters of another case would be the same bytes.
  const isPlain = signature.algorithm === 'Ed25519' && value.toString('hex') === signature.value;
  if (!isPlain || !verify(null, signedBytes(receipt), createPublicKey(publicKey), value))
    return refuse('its signature does not fit: it was changed after it was signed');
  return { holds: true, receipt, keyId: signature.keyId };
}

function signedBytes({ signature: _signature, ...rest }: { signature?: unknown }): Uint8Array {
  return encodeJson(rest);
}
