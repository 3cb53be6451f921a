/**
 * Whether an event is at or before a cursor, and was therefore already received.
 * A cursor is `<epoch>.<tag>-<position>`. Positions ascend within an epoch; an event at the
 * same position with another tag belongs to another history.
 */
export function isAtOrBefore(id: string, cursor: string | null): boolean {
  if (cursor === null) return false;
  const [event, known] = [parse(id), parse(cursor)];
  return event.epoch === known.epoch && (event.position < known.position || id === cursor);
}

function parse(cursor: string): { readonly epoch: string; readonly position: number } {
  const dash = cursor.lastIndexOf('-');
  return { epoch: cursor.slice(0, dash).replace(/\..*$/, ''), position: Number(cursor.slice(dash + 1)) };
}
