/** Where snapshots are stored. Only pages with https, or of this device, have caches. */
export const SNAPSHOT_CACHE = 'confab-snapshots';

export const getSnapshotPath = (userId: number) => `/snapshots/${userId}`;

/** Deletes what an account saw on this device. */
export async function deleteSnapshot(userId: number): Promise<void> {
  if ('caches' in globalThis) await (await caches.open(SNAPSHOT_CACHE)).delete(getSnapshotPath(userId));
}
