/**
 * Whether an event lies at a cursor or before it, and was told with what lies there.
 * Within one history, which is named before the dash, positions ascend.
 */
export function isPast(id: string, cursor: string | null): boolean {
  if (cursor === null) return false;
  const [at, upto] = [id.lastIndexOf('-'), cursor.lastIndexOf('-')];
  return id.slice(0, at) === cursor.slice(0, upto) && Number(id.slice(at + 1)) <= Number(cursor.slice(upto + 1));
}
