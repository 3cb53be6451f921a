/** The hour of the morning at which "until tomorrow" ends. */
const MORNING_HOUR = 8;

/** How long notifications can be paused and chats muted. */
export const QUIET_TIMES = ['oneHour', 'eightHours', 'tomorrow'] as const;

/** Returns the end of a time that begins now, in RFC 3339. */
export function getQuietEnd(time: (typeof QUIET_TIMES)[number]): string {
  const end = new Date();
  if (time === 'tomorrow') {
    end.setDate(end.getDate() + 1);
    end.setHours(MORNING_HOUR, 0, 0, 0);
  } else {
    end.setHours(end.getHours() + (time === 'oneHour' ? 1 : 8));
  }
  return end.toISOString();
}
