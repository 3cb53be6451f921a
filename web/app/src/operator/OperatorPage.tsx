import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { IconButton } from '../ui/Button';
import { Tabs } from '../ui/Tabs';
import { AuditLog } from './AuditLog';
import { DefaultChannels } from './DefaultChannels';
import styles from './OperatorPage.module.css';
import { RemoveContent } from './RemoveContent';
import { Users } from './Users';

/** What operators can do: manage users, choose what newcomers join, remove content, and read the audit log. */
export default function OperatorPage() {
  const { t } = useTranslation();
  const [, navigate] = useLocation();
  const tabs = [
    { name: t('operator.users'), body: <Users /> },
    { name: t('operator.channels'), body: <DefaultChannels /> },
    { name: t('operator.content'), body: <RemoveContent /> },
    { name: t('operator.audit'), body: <AuditLog /> },
  ];
  return (
    <section className={styles.page} aria-label={t('operator.title')}>
      <header className={styles.header}>
        <IconButton icon="back" label={t('backToChats')} className={styles.back ?? ''} onClick={() => navigate('/')} />
        <h1>{t('operator.title')}</h1>
      </header>
      <Tabs label={t('operator.title')} tabs={tabs} />
    </section>
  );
}
