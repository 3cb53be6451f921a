import { locale } from './language';

const listFormat = new Intl.ListFormat(locale, { type: 'conjunction' });
const numberFormat = new Intl.NumberFormat(locale);

/** As in `Ann, Bob and Carol`. */
export const formatList = (items: readonly string[]) => listFormat.format(items);

/** As in `1,234`. */
const formatNumber = (value: number) => numberFormat.format(value);

/** The value at which the server stops counting. */
export const MAX_COUNT = 1_000;

/** As in `12`, or `1,000+` where the count ends. */
export const formatCount = (count: number) =>
  count >= MAX_COUNT ? `${formatNumber(MAX_COUNT)}+` : formatNumber(count);
