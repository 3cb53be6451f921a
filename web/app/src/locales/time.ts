/** Times formatted for the user's locale. */

import { deviceStorage } from '../storage';
import { locale } from './language';

/** How hours are written. */
export type HourCycle = 'h12' | 'h23';

/** Storage key of the chosen hour cycle. */
const STORAGE_KEY = 'confab.hourCycle';

/** The chosen hour cycle; null if the language decides. */
export function getChosenHourCycle(): HourCycle | null {
  const chosen = deviceStorage.getItem(STORAGE_KEY);
  return chosen === 'h12' || chosen === 'h23' ? chosen : null;
}

/** Chooses how hours are written, and loads the page again with it. */
export function chooseHourCycle(chosen: HourCycle | null): void {
  if (chosen) deviceStorage.setItem(STORAGE_KEY, chosen);
  else deviceStorage.removeItem(STORAGE_KEY);
  location.reload();
}

const hourCycle = getChosenHourCycle() ?? undefined;

const timeFormat = new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit', hourCycle });
const weekdayFormat = new Intl.DateTimeFormat(locale, { weekday: 'short' });
const dateFormat = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });
const longDateFormat = new Intl.DateTimeFormat(locale, {
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
});
const fullFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'full', timeStyle: 'medium', hourCycle });
const dateTimeFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short', hourCycle });
const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });

const DAY_MS = 86_400_000;

/** As in `14:05`. */
export const formatTime = (at: string) => timeFormat.format(new Date(at));

/** The time of now in a time zone, as in `14:05`; null if this device does not know the zone. */
export function formatTimeIn(timeZone: string): string | null {
  try {
    return new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit', hourCycle, timeZone }).format();
  } catch {
    return null;
  }
}

/** As in `14:05`, or `2:05` in a 12-hour locale. */
export const formatCompactTime = (at: string) =>
  timeFormat
    .formatToParts(new Date(at))
    .filter(({ type }) => type !== 'dayPeriod')
    .map(({ value }) => value)
    .join('')
    .trim();

/** As in `20 Nov 2026, 14:05`. */
export const formatDateTime = (at: string) => dateTimeFormat.format(new Date(at));

/** As in `Friday, 20 November 2026 at 14:05:11`. A text that is not a time stays as it is. */
export const formatFullTime = (at: string) => (Number.isNaN(Date.parse(at)) ? at : fullFormat.format(new Date(at)));

/** Equal for two times on the same day. */
export const getDayKey = (at: string) => new Date(at).toDateString();

/** As in `Today`, `Yesterday` or `Monday, 2 November 2026`. */
export function formatDay(at: string): string {
  const days = Math.round((Date.parse(getDayKey(at)) - Date.parse(new Date().toDateString())) / DAY_MS);
  if (days !== 0 && days !== -1) return longDateFormat.format(new Date(at));
  const name = relativeFormat.format(days, 'day');
  return name.charAt(0).toUpperCase() + name.slice(1);
}

/** The time if today, the weekday within the last six days, otherwise the date. */
export function formatShortTime(at: string): string {
  const date = new Date(at);
  if (getDayKey(at) === new Date().toDateString()) return timeFormat.format(date);
  return (Date.now() - date.getTime() < 6 * DAY_MS ? weekdayFormat : dateFormat).format(date);
}

/** As in `14:05`, or `Tue 14:05` on another day. */
export function formatUpcomingTime(at: string): string {
  const date = new Date(at);
  const isToday = getDayKey(at) === new Date().toDateString();
  return isToday ? timeFormat.format(date) : `${weekdayFormat.format(date)} ${timeFormat.format(date)}`;
}

/** As in `5 minutes ago`. */
export function formatRelativeTime(at: string): string {
  const seconds = (Date.parse(at) - Date.now()) / 1000;
  const steps = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ] as const;
  for (const [unit, length] of steps) {
    if (Math.abs(seconds) >= length) return relativeFormat.format(Math.round(seconds / length), unit);
  }
  return relativeFormat.format(0, 'second');
}
