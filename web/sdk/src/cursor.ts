/**
 * Whether an event is at or before a cursor, and was therefore already received.
 * Positions ascend within an epoch, which is the part before the dash.
 */
export function isAtOrBefore(id: string, cursor: string | null): boolean {
  if (cursor === null) return false;
  const [idDash, cursorDash] = [id.lastIndexOf('-'), cursor.lastIndexOf('-')];
  return (
    id.slice(0, idDash) === cursor.slice(0, cursorDash) &&
    Number(id.slice(idDash + 1)) <= Number(cursor.slice(cursorDash + 1))
  );
}
