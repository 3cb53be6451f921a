import { useTranslation } from 'react-i18next';
import { Dialog } from '../ui/Dialog';
import { Tabs } from '../ui/Tabs';
import { useView } from '../view';
import { AccountSettings } from './AccountSettings';
import { Blocked } from './Blocked';
import { Device } from './Device';
import { Profile } from './Profile';
import { Sessions } from './Sessions';

/** All that one may set. */
export function Settings() {
  const { t } = useTranslation();
  const close = useView((view) => view.close);
  const parts = [
    { name: t('settings.profile'), body: <Profile /> },
    { name: t('settings.device'), body: <Device /> },
    { name: t('settings.sessions'), body: <Sessions /> },
    { name: t('settings.blocked'), body: <Blocked /> },
    { name: t('settings.account'), body: <AccountSettings /> },
  ];
  return (
    <Dialog title={t('settings.title')} onClose={close} isWide>
      <Tabs label={t('settings.title')} parts={parts} />
    </Dialog>
  );
}
