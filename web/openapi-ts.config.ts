import { defineConfig } from '@hey-api/openapi-ts';

// The types of everything that goes over the wire, from the server's own description.
export default defineConfig({
  input: '../docs/openapi.json',
  output: { path: process.env.TYPES_OUT ?? 'sdk/src/wire', indexFile: false },
  plugins: ['@hey-api/typescript'],
});
