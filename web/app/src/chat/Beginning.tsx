import { useTranslation } from 'react-i18next';
import { Icon } from '../ui/Icon';
import { titleOf, useWorld } from '../world/use';
import styles from './Message.module.css';

/** What stands before the first message. */
export function Beginning({ chatId }: { readonly chatId: number }) {
  const { t } = useTranslation();
  const row = useWorld(({ chats }) => chats.get(chatId));
  const title = useWorld((world) => (row ? titleOf(world, row) : ''));
  if (!row) return null;
  const isPersonal = row.type === 'single';
  return (
    <header className={styles.beginning}>
      <span>
        <Icon
          name={
            row.type === 'single'
              ? 'person'
              : row.type === 'group'
                ? 'people'
                : row.type === 'private_channel'
                  ? 'lock'
                  : 'hash'
          }
          size={26}
        />
      </span>
      <h3>{title}</h3>
      <p>
        {row.description ||
          (isPersonal ? t('timeline.beginningWith', { name: title }) : t('timeline.beginning', { name: title }))}
      </p>
    </header>
  );
}
