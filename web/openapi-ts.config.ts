import { defineConfig } from '@hey-api/openapi-ts';

// Generates the types of requests, responses and events from the server's OpenAPI description.
export default defineConfig({
  input: '../docs/openapi.json',
  output: { path: process.env.TYPES_OUT ?? 'sdk/src/wire', indexFile: false },
  plugins: ['@hey-api/typescript'],
});
