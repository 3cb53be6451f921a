/**
 * Whether an event lies at a cursor or before it, and was told with what lies there.
 * Within one history, which is named before the dash, positions ascend.
 */
export function isAtOrBefore(id: string, cursor: string | null): boolean {
  if (cursor === null) return false;
  const [idDash, cursorDash] = [id.lastIndexOf('-'), cursor.lastIndexOf('-')];
  return (
    id.slice(0, idDash) === cursor.slice(0, cursorDash) &&
    Number(id.slice(idDash + 1)) <= Number(cursor.slice(cursorDash + 1))
  );
}
