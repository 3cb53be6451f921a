import { type Me, Session, type Signin, type Signup } from '@confab/sdk';
import { deviceStorage, tabStorage } from '../storage';

/** Somebody who is signed in on this device. */
export interface Account {
  readonly id: number;
  readonly username: string;
  readonly displayName: string;
}

/** Who is signed in on this device, the latest first. */
const ACCOUNTS_KEY = 'confab.accounts';

/** Who this tab belongs to; a tab keeps its person when another signs in elsewhere. */
const CURRENT_ACCOUNT_KEY = 'confab.here';

const readAccounts = (): Account[] => {
  try {
    return JSON.parse(deviceStorage.getItem(ACCOUNTS_KEY) ?? '[]') as Account[];
  } catch {
    return [];
  }
};

/** Everybody who is signed in on this device. */
export function listAccounts(): Account[] {
  return readAccounts().filter(({ id }) => Session.isStored(String(id)));
}

/** The person of this tab, if they are signed in still. */
export function currentAccount(): Account | null {
  const id = Number(tabStorage.getItem(CURRENT_ACCOUNT_KEY));
  return listAccounts().find((account) => account.id === id) ?? null;
}

/** Makes this tab somebody's. */
export function activate(account: Account): Session {
  tabStorage.setItem(CURRENT_ACCOUNT_KEY, String(account.id));
  deviceStorage.setItem(
    ACCOUNTS_KEY,
    JSON.stringify([account, ...readAccounts().filter(({ id }) => id !== account.id)]),
  );
  return new Session('', { name: String(account.id) });
}

/** Makes this tab nobody's. */
export function signOut(): void {
  tabStorage.removeItem(CURRENT_ACCOUNT_KEY);
}

/** Signs in. Throws `ApiError` and `NetworkError`. */
export function signIn(body: Signin): Promise<Account> {
  return authenticate((session) => session.signIn(body));
}

/** Makes an account. Throws `ApiError` and `NetworkError`. */
export function signUp(body: Signup): Promise<Account> {
  return authenticate((session) => session.signUp(body));
}

async function authenticate(request: (session: Session) => Promise<Me>): Promise<Account> {
  const session = new Session('', { name: (me) => String(me.id) });
  try {
    const me = await request(session);
    return { id: me.id, username: me.username, displayName: me.display_name };
  } finally {
    session.close();
  }
}
