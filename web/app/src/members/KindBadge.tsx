import type { User } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { Badge } from '../ui/Badge';

/** What a user is who is no person of this server: a bot, a webhook, or a person on another network. */
export function KindBadge({ user }: { readonly user: User | undefined }) {
  const { t } = useTranslation();
  if (!user || user.kind === 'person') return null;
  return <Badge>{user.network ? t(`networks.${user.network}`) : t(`kind.${user.kind}`)}</Badge>;
}
