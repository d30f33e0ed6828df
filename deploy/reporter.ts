import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

/** Ends a run with `N passed, N failed, N skipped` alone on its line. A file that could not be loaded counts as failed. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], _reason: TestRunEndReason): void {
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      if (module.errors().length) count.failed++;
      for (const test of module.children.allTests()) count[test.result().state]++;
    }
    process.on('exit', () =>
      process.stdout.write(
        `\n${count.passed} passed, ${count.failed + count.pending} failed, ${count.skipped} skipped\n`,
      ),
    );
  }
}
