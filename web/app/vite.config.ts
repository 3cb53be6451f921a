import { createHash } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

/** Emits a gzip and a Brotli copy of each text asset, so that the server never compresses at run time. */
function compressed(): Plugin {
  return {
    name: 'compressed',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        for (const [fileName, made] of Object.entries(bundle)) {
          const source = made.type === 'chunk' ? made.code : made.source;
          if (!/\.(js|css|json|html)$/.test(fileName)) continue;
          this.emitFile({ type: 'asset', fileName: `${fileName}.gz`, source: gzipSync(source, { level: 9 }) });
          this.emitFile({ type: 'asset', fileName: `${fileName}.br`, source: brotliCompressSync(source) });
        }
      },
    },
  };
}

/** Emits a list of the files that a page needs without a connection, for the service worker. */
function listFiles(): Plugin {
  return {
    name: 'list-files',
    apply: 'build',
    generateBundle: {
      order: 'post',
      handler(_, bundle) {
        const assets = Object.keys(bundle).filter((name) => /^assets\/.*\.(js|css|svg|woff2|json)$/.test(name));
        const files = [...assets.sort().map((name) => `/${name}`), '/icon.svg', '/icon-unread.svg', '/app.webmanifest'];
        const page = bundle['index.html'];
        const html = page?.type === 'asset' ? String(page.source) : '';
        const version = createHash('sha256').update(files.join()).update(html).digest('hex').slice(0, 16);
        this.emitFile({ type: 'asset', fileName: 'files.json', source: JSON.stringify({ version, files }) });
      },
    },
  };
}

/** The server that `npm run dev` proxies to. */
const SERVER = process.env.CONFAB_URL ?? 'http://127.0.0.1:6688';

export default defineConfig({
  plugins: [react(), listFiles(), compressed()],
  resolve: { alias: { '@confab/sdk': new URL('../sdk/src/index.ts', import.meta.url).pathname } },
  build: {
    target: 'es2024',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: 'index.html', sw: 'worker/serviceWorker.ts' },
      // The copies are compressed here and never on the server, so this takes most of the time.
      checks: { bundlerTimings: false },
      output: {
        // The service worker is at the root, so that it serves all pages, and keeps its name.
        entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js'),
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler|use-sync-external-store)\//, priority: 1 },
            // Menus and dialogs share one chunk, loaded with the first of them.
            { name: 'layer', test: /node_modules\/(@base-ui|@floating-ui)\// },
          ],
        },
      },
    },
  },
  server: { proxy: { '/api': SERVER, '/in': SERVER, '/events': SERVER, '/ws': { target: SERVER, ws: true } } },
});
