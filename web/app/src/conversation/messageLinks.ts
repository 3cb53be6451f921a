/** Maximum number of linked messages that are shown below a text. */
const MAX_SHOWN = 3;

/** Code, in which a link is only an example. */
const CODE = /```[\s\S]*?(?:```|$)|`[^`\n]*`/g;

/** The path of a message, as "Copy link" copies it. */
const PATH = /\/chats\/(\d{1,15})\/(\d{1,15})(?![\w/-])/g;

/** A link to a message of this server. */
export interface MessageLink {
  readonly chatId: number;
  readonly messageId: number;
}

/** Returns the link to a message. */
export const getMessageUrl = ({ chatId, messageId }: MessageLink) => `${location.origin}/chats/${chatId}/${messageId}`;

/** Finds the links to messages of a server in a text, each once. */
export function findMessageLinks(text: string, origin: string): readonly MessageLink[] {
  if (!text.includes(`${origin}/chats/`)) return [];
  const plain = text.replace(CODE, ' ');
  const found = new Map<number, MessageLink>();
  for (const { 1: chatId, 2: messageId, index } of plain.matchAll(PATH)) {
    if (!plain.slice(0, index).endsWith(origin)) continue;
    found.set(Number(messageId), { chatId: Number(chatId), messageId: Number(messageId) });
  }
  return [...found.values()].slice(0, MAX_SHOWN);
}
