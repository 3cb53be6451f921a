import { type Me, Session, type Signin, type Signup, type SignupConfirmation } from '@confab/sdk';
import { deviceStorage, tabStorage } from '../storage';

/** An account signed in on this device. */
export interface Account {
  readonly id: number;
  readonly username: string;
  readonly displayName: string;
}

/** Storage key of the accounts on this device, most recent first. */
const ACCOUNTS_KEY = 'confab.accounts';

/** Storage key of this tab's account, or `none`. It does not change when another tab signs in. */
const CURRENT_ACCOUNT_KEY = 'confab.currentAccount';

/** The value of a tab without an account. */
const NO_ACCOUNT = 'none';

const readAccounts = (): Account[] => {
  try {
    return JSON.parse(deviceStorage.getItem(ACCOUNTS_KEY) ?? '[]') as Account[];
  } catch {
    return [];
  }
};

/** Lists the accounts that have a stored session on this device. */
export function listAccounts(): Account[] {
  return readAccounts().filter(({ id }) => Session.isStored(String(id)));
}

/** Returns this tab's account: in a new tab the last used one; null if the tab shows the sign-in page. */
export function currentAccount(): Account | null {
  const current = tabStorage.getItem(CURRENT_ACCOUNT_KEY);
  if (current === NO_ACCOUNT) return null;
  const accounts = listAccounts();
  if (current === null) return accounts[0] ?? null;
  return accounts.find(({ id }) => String(id) === current) ?? null;
}

/** Switches this tab to an account. */
export function activate(account: Account): Session {
  tabStorage.setItem(CURRENT_ACCOUNT_KEY, String(account.id));
  deviceStorage.setItem(
    ACCOUNTS_KEY,
    JSON.stringify([account, ...readAccounts().filter(({ id }) => id !== account.id)]),
  );
  return new Session('', { name: String(account.id) });
}

/** Removes the account from this tab, which then shows the sign-in page. */
export function deactivate(): void {
  tabStorage.setItem(CURRENT_ACCOUNT_KEY, NO_ACCOUNT);
}

/** Loads a page with another account of this device, or with the sign-in page before it. */
export function switchAccount(account: Account | null, url = '/'): void {
  tabStorage.setItem(CURRENT_ACCOUNT_KEY, account ? String(account.id) : NO_ACCOUNT);
  location.assign(url);
}

/** Signs in. Throws `ApiError` and `NetworkError`. */
export function signIn(body: Signin): Promise<Account> {
  return authenticate((session) => session.signIn(body));
}

/** Creates an account. Throws `ApiError` and `NetworkError`. */
export function signUp(body: Signup): Promise<Account> {
  return authenticate((session) => session.signUp(body));
}

/** Creates the account of a sign-up, with the token of the link in the mail. */
export function confirmSignUp(body: SignupConfirmation): Promise<Account> {
  return authenticate((session) => session.confirmSignUp(body));
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
