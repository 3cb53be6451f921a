import { deviceStorage } from '../storage';

/** The available transports. The first is the default. */
export const TRANSPORTS = ['auto', 'sse', 'eventsource', 'websocket'] as const;

const STORAGE_KEY = 'confab.transport';

/** Returns the transport selected on this device. */
export function getTransport(): (typeof TRANSPORTS)[number] {
  return TRANSPORTS.find((one) => one === deviceStorage.getItem(STORAGE_KEY)) ?? TRANSPORTS[0];
}

/** Stores the transport and reloads the page. */
export function setTransport(name: string): void {
  deviceStorage.setItem(STORAGE_KEY, name);
  location.reload();
}
