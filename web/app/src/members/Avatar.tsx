import type { Presence, User } from '@confab/sdk';
import { useFileUrl } from '../store/fileCache';
import { getDisplayName } from '../store/hooks';
import { AvatarImage } from '../ui/AvatarImage';

/** A user's avatar. */
export function Avatar(props: {
  readonly user: Pick<User, 'username' | 'display_name' | 'avatar_url'> | undefined;
  readonly size?: number;
  readonly status?: Presence['status'] | undefined;
}) {
  const { user, ...rest } = props;
  const imageUrl = useFileUrl(user?.avatar_url ?? null);
  return <AvatarImage name={getDisplayName(user)} seed={user?.username ?? ''} imageUrl={imageUrl} {...rest} />;
}
