import type { ChatType } from '@confab/sdk';
import { Icon, type IconName } from './Icon';

const ICONS: Readonly<Record<ChatType, IconName>> = {
  single: 'person',
  group: 'people',
  private_channel: 'lock',
  public_channel: 'hash',
};

/** The icon of a type of chat. */
export function ChatIcon({ type, size = 20 }: { readonly type: ChatType; readonly size?: number }) {
  return <Icon name={ICONS[type]} size={size} />;
}
