import { EmojiPopup } from './conversation/EmojiPopup';
import { UserCard } from './members/UserCard';
import { PopupMenu } from './ui/PopupMenu';
import type { Popup } from './ui/popup';

/** Renders the open popup. All popups are in one chunk, loaded with the first. */
export default function PopupRoot({ popup }: { readonly popup: Popup }) {
  switch (popup.kind) {
    case 'menu':
      return <PopupMenu {...popup} />;
    case 'user':
      return <UserCard {...popup} />;
    case 'emoji':
      return <EmojiPopup {...popup} />;
  }
}
