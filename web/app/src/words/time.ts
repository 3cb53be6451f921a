/** Times for people, in their own language. */

const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' });
const date = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const day = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });

const DAY_MS = 86_400_000;

/** As in `14:05`. */
export const clockTime = (at: string) => clock.format(new Date(at));

/** As in `14:05`, or `2:05` where a clock has twelve hours. */
export const briefTime = (at: string) =>
  clock
    .formatToParts(new Date(at))
    .filter(({ type }) => type !== 'dayPeriod')
    .map(({ value }) => value)
    .join('')
    .trim();

/** As in `Friday, 20 November 2026 at 14:05:11`. */
export const exactTime = (at: string) => exact.format(new Date(at));

/** Two moments with the same are on one day. */
export const dayKey = (at: string) => new Date(at).toDateString();

/** As in `Today`, `Yesterday` or `Monday, 2 November 2026`. */
export function dayName(at: string): string {
  const days = Math.round((Date.parse(dayKey(at)) - Date.parse(new Date().toDateString())) / DAY_MS);
  if (days !== 0 && days !== -1) return day.format(new Date(at));
  const name = relative.format(days, 'day');
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** As short as it is clear: the time today, the day this week, else the date. */
export function shortTime(at: string): string {
  const then = new Date(at);
  if (dayKey(at) === new Date().toDateString()) return clock.format(then);
  return (Date.now() - then.getTime() < 6 * DAY_MS ? weekday : date).format(then);
}

/** As in `5 minutes ago`. */
export function ago(at: string): string {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  const steps = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ] as const;
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relative.format(Math.round(seconds / length), unit);
  }
  return relative.format(0, 'second');
}
