import type { Reporter, TestModule, TestRunEndReason } from 'vitest/node';

/**
 * Ends a run with `N passed, N failed, N skipped` alone on its line. What failed without being a test counts as one
 * failure: a file that could not be loaded, a setup that threw, a run that was broken off.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[], reason: TestRunEndReason): void {
    const count = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      if (module.errors().length) count.failed++;
      for (const test of module.children.allTests()) count[test.result().state]++;
    }
    const failed = count.failed + count.pending;
    process.on('exit', (code) => {
      const unexplained = failed === 0 && (reason !== 'passed' || code !== 0) ? 1 : 0;
      process.stdout.write(
        `\n${count.passed} passed, ${failed + unexplained} failed, ${count.skipped} skipped\n`,
      );
    });
  }
}
