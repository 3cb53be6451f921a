import { ConfirmDialog } from './ConfirmDialog';
import { DateJump } from './conversation/DateJump';
import { EditHistory } from './conversation/EditHistory';
import { ForwardMessage } from './conversation/ForwardMessage';
import { ReactionsDialog } from './conversation/ReactionsDialog';
import { AddMembers } from './members/AddMembers';
import { SuspendDialog } from './operator/SuspendDialog';
import { Settings } from './settings/Settings';
import { StatusDialog } from './settings/StatusDialog';
import { ShortcutsDialog } from './shortcuts/ShortcutsDialog';
import { BrowseChannels } from './sidebar/BrowseChannels';
import { ChatSettings } from './sidebar/ChatSettings';
import { Drafts } from './sidebar/Drafts';
import { NewChat } from './sidebar/NewChat';
import { QuickSwitcher } from './sidebar/QuickSwitcher';
import type { Modal } from './uiStore';

/** Renders the open modal. All modals are in one chunk, loaded with the first. */
export default function ModalRoot({ modal }: { readonly modal: Modal }) {
  switch (modal.kind) {
    case 'newChat':
      return <NewChat />;
    case 'browseChannels':
      return <BrowseChannels />;
    case 'drafts':
      return <Drafts />;
    case 'switcher':
      return <QuickSwitcher />;
    case 'settings':
      return <Settings />;
    case 'status':
      return <StatusDialog />;
    case 'shortcuts':
      return <ShortcutsDialog />;
    case 'chatSettings':
      return <ChatSettings chatId={modal.chatId} />;
    case 'addMembers':
      return <AddMembers chatId={modal.chatId} />;
    case 'editHistory':
      return <EditHistory messageId={modal.messageId} />;
    case 'reactions':
      return <ReactionsDialog message={modal.message} emoji={modal.emoji} />;
    case 'forward':
      return <ForwardMessage message={modal.message} />;
    case 'dateJump':
      return <DateJump chatId={modal.chatId} onJump={modal.onJump} />;
    case 'suspendUser':
      return <SuspendDialog user={modal.user} onDone={modal.onDone} />;
    case 'confirm':
      return <ConfirmDialog {...modal} />;
  }
}
