/** Names of channels after a `#` in texts. */

/** A `#` with a name, not inside of a word or an address. */
const CHANNEL_LINK = /(?<![\p{L}\p{N}/#&])#([\p{L}\p{N}][\p{L}\p{N}_-]*)/gu;

/** Whether a name can be written after a `#`. */
export const isChannelName = (name: string) => /^[\p{L}\p{N}][\p{L}\p{N}_-]*$/u.test(name);

/** A part of a text: plain, or a link to a channel. */
interface ChannelPart {
  readonly text: string;
  readonly name: string | null;
}

/** Splits plain text at the names of channels. */
export function splitChannelLinks(text: string, isChannel: (name: string) => boolean): ChannelPart[] {
  const parts: ChannelPart[] = [];
  let end = 0;
  for (const match of text.matchAll(CHANNEL_LINK)) {
    const name = match[1] ?? '';
    if (!isChannel(name.toLowerCase())) continue;
    if (match.index > end) parts.push({ text: text.slice(end, match.index), name: null });
    end = match.index + match[0].length;
    parts.push({ text: match[0], name });
  }
  if (end < text.length) parts.push({ text: text.slice(end), name: null });
  return parts;
}
