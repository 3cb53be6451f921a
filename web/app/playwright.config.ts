import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

/** The system's browser. None is downloaded. */
const BROWSERS = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
];

const executablePath = process.env.CHROMIUM ?? BROWSERS.find(existsSync) ?? 'chromium';

export default defineConfig({
  testDir: 'tests',
  outputDir: '../../screenshots/failures',
  reporter: [['list']],
  workers: 1,
  timeout: 60_000,
  expect: { timeout: 15_000 },
  use: {
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        // A host name other than localhost, so that a page without TLS is not a secure context.
        '--host-resolver-rules=MAP plain.test 127.0.0.1',
      ],
    },
  },
});
