import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { Tabs } from '../ui/Tabs';
import { useUiStore } from '../uiStore';
import { AccountSettings } from './AccountSettings';
import { BlockedUsers } from './BlockedUsers';
import { DeviceSettings } from './DeviceSettings';
import { Integrations } from './Integrations';
import { NotificationSettings } from './NotificationSettings';
import { Profile } from './Profile';
import { Sessions } from './Sessions';

/** The settings dialog. */
export function Settings() {
  const { t } = useTranslation();
  const closeModal = useUiStore((ui) => ui.closeModal);
  const tabs = [
    { name: t('settings.profile'), body: <Profile /> },
    { name: t('settings.device'), body: <DeviceSettings /> },
    { name: t('notifications.title'), body: <NotificationSettings /> },
    { name: t('settings.sessions'), body: <Sessions /> },
    { name: t('settings.blocked'), body: <BlockedUsers /> },
    { name: t('integrations.title'), body: <Integrations /> },
    { name: t('settings.account'), body: <AccountSettings /> },
  ];
  return (
    <Dialog title={t('settings.title')} onClose={closeModal} isWide>
      <Tabs label={t('settings.title')} tabs={tabs} />
    </Dialog>
  );
}
