/** The built service worker (`worker/serviceWorker.ts`). */
export const SERVICE_WORKER_PATH = '/sw.js';

/** The part of the Trusted Types API that TypeScript does not know. */
interface TrustedTypes {
  createPolicy(
    name: string,
    rules: { readonly createScriptURL: () => string },
  ): { readonly createScriptURL: (url: string) => string };
}

let policy: ReturnType<TrustedTypes['createPolicy']> | null = null;

/** The address of the service worker, which the content security policy wants as a trusted URL. */
function getServiceWorkerUrl(): string {
  const { trustedTypes } = globalThis as { readonly trustedTypes?: TrustedTypes };
  if (!trustedTypes) return SERVICE_WORKER_PATH;
  policy ??= trustedTypes.createPolicy('confab-service-worker', { createScriptURL: () => SERVICE_WORKER_PATH });
  return policy.createScriptURL(SERVICE_WORKER_PATH);
}

/** Registers the service worker. Only pages with https, or of this device, have one. */
export async function registerServiceWorker(): Promise<void> {
  if (isSecureContext && 'serviceWorker' in navigator) await navigator.serviceWorker.register(getServiceWorkerUrl());
}
