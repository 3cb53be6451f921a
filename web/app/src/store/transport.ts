import { deviceStorage } from '../storage';

/** The ways to hear the server; the first is taken unless another is chosen. */
export const TRANSPORTS = ['auto', 'sse', 'eventsource', 'websocket'] as const;

const STORAGE_KEY = 'confab.transport';

/** The one that is taken on this device. */
export function getTransport(): (typeof TRANSPORTS)[number] {
  return TRANSPORTS.find((one) => one === deviceStorage.getItem(STORAGE_KEY)) ?? TRANSPORTS[0];
}

/** Chooses one, and begins anew with it. */
export function setTransport(name: string): void {
  deviceStorage.setItem(STORAGE_KEY, name);
  location.reload();
}
