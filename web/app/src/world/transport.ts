import { kept } from '../kept';

/** The ways to hear the server; the first is taken unless another is chosen. */
export const TRANSPORTS = ['auto', 'sse', 'eventsource', 'websocket'] as const;

const KEY = 'confab.transport';

/** The one that is taken on this device. */
export function transport(): (typeof TRANSPORTS)[number] {
  return TRANSPORTS.find((one) => one === kept.getItem(KEY)) ?? TRANSPORTS[0];
}

/** Chooses one, and begins anew with it. */
export function chooseTransport(name: string): void {
  kept.setItem(KEY, name);
  location.reload();
}
