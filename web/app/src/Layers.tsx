import { Edits } from './chat/Edits';
import { Browse } from './chats/Browse';
import { ChatSettings } from './chats/ChatSettings';
import { NewChat } from './chats/NewChat';
import { Switcher } from './chats/Switcher';
import { Shortcuts } from './keys/Shortcuts';
import { AddPeople } from './members/AddPeople';
import { Settings } from './settings/Settings';
import { Sure } from './ui/Sure';
import type { Layer } from './view';

/** The one layer that is open. They are fetched when the first one is. */
export default function Layers({ layer }: { readonly layer: Layer }) {
  switch (layer.kind) {
    case 'new':
      return <NewChat />;
    case 'browse':
      return <Browse />;
    case 'switcher':
      return <Switcher />;
    case 'settings':
      return <Settings />;
    case 'shortcuts':
      return <Shortcuts />;
    case 'chat':
      return <ChatSettings chatId={layer.chatId} />;
    case 'people':
      return <AddPeople chatId={layer.chatId} />;
    case 'edits':
      return <Edits messageId={layer.messageId} />;
    case 'sure':
      return <Sure {...layer} />;
  }
}
