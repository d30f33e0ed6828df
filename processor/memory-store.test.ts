import { storeContract } from './store.contract.ts';
import { openMemoryStore } from './test-memory-store.ts';

storeContract('a store in memory', async () => {
  const store = openMemoryStore(Date.now);
  return { store, reopen: async () => store, close: () => store.close() };
});
