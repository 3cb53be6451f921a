import type { Page } from '@playwright/test';
import { TestServer } from '../../sdk/test/server';
import { expect, findOverflow, test } from './fixtures';

/** A server that verifies addresses, and shows its mail on a page. */
let server: TestServer;

test.beforeAll(async () => {
  server = await TestServer.start({ VERIFY_EMAIL: 'on' }, null);
});
test.afterAll(() => server.stop());

/** Opens the link of the newest mail with a subject, as its reader does. */
async function openMail(page: Page, subject: string): Promise<void> {
  await page.goto(`${server.url}/mailbox`);
  const mail = page.getByRole('article').filter({ hasText: subject }).first();
  await expect(mail).toBeVisible({ timeout: 20_000 });
  await mail.getByRole('link').first().click();
}

test('a new user confirms the address, and later replaces a lost password', async ({ page }) => {
  await page.goto(server.url);
  await page.getByRole('button', { name: 'Sign up' }).click();
  await expect(page.getByLabel('Password')).toBeHidden();
  await page.getByLabel('Username').fill('erin');
  await page.getByLabel('Email').fill('erin@example.org');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByText('An email with a link is on its way to erin@example.org.')).toBeVisible();
  await page.screenshot({ path: '../../screenshots/sign-up-mailed.png' });

  await openMail(page, 'Finish your sign-up');
  await expect(page.getByLabel('Username')).toHaveValue('erin');
  await page.getByLabel('Password').fill('erin');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByLabel('Password')).toHaveAttribute('aria-invalid', 'true');
  await page.screenshot({ path: '../../screenshots/finish-sign-up.png' });
  await page.getByLabel('Password').fill('long unlikely words');
  await page.getByRole('button', { name: 'Create account' }).click();
  await expect(page.getByRole('navigation').first()).toBeVisible();
  expect(new URL(page.url()).hash).toBe('');

  // On another device the password is lost.
  await page.evaluate(() => {
    localStorage.clear();
    sessionStorage.clear();
  });
  await page.goto(server.url);
  await page.getByRole('button', { name: 'Forgot your password?' }).click();
  await page.getByLabel('Email').fill('erin@example.org');
  await page.getByRole('button', { name: 'Send a link' }).click();
  await expect(page.getByText('If erin@example.org belongs to an account')).toBeVisible();
  await openMail(page, 'Choose a new password');
  await page.getByLabel('New password').fill('other quite unlikely words');
  await page.getByRole('button', { name: 'Choose a new password' }).click();
  await expect(page.getByRole('heading', { name: 'Your password has changed' })).toBeVisible();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByLabel('Email').fill('erin@example.org');
  await page.getByLabel('Password').fill('other quite unlikely words');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('navigation').first()).toBeVisible();

  // The link works once.
  await openMail(page, 'Choose a new password');
  await page.getByLabel('New password').fill('third quite unlikely words');
  await page.getByRole('button', { name: 'Choose a new password' }).click();
  await expect(page.getByText('This link has expired or was used')).toBeVisible();
});

test('a user confirms an address, invites somebody by mail, and turns digests off', async ({ page, browser }) => {
  await page.goto(server.url);
  await page.getByRole('button', { name: /Alice/ }).click();
  const openSettings = async (tab: string) => {
    await page.getByRole('navigation').getByRole('button', { name: 'Settings' }).click();
    await page.getByRole('tab', { name: tab }).click();
  };
  await openSettings('Account');
  const email = page.getByRole('region', { name: 'Email address' });
  await expect(email).toContainText('alice@example.com, not confirmed');
  await email.getByLabel('New email address').fill('alice@example.com');
  await email.getByLabel('Current password').fill('confab-demo');
  await email.getByRole('button', { name: 'Send a link' }).click();
  await expect(email.getByRole('status')).toContainText('An email with a link is on its way to alice@example.com.');
  await page.screenshot({ path: '../../screenshots/email-settings.png' });
  expect(await findOverflow(page)).toEqual([]);

  // In another tab, so that the first shows it when the settings are opened again.
  const mail = await page.context().newPage();
  await openMail(mail, 'Confirm your email address');
  await mail.getByRole('button', { name: 'Confirm' }).click();
  await expect(mail.getByRole('heading', { name: 'Your email address is confirmed' })).toBeVisible();
  await page.keyboard.press('Escape');
  await openSettings('Account');
  await expect(email).toContainText('alice@example.com, confirmed');
  await page.getByRole('tab', { name: 'Notifications' }).click();
  const digest = page.getByLabel('Email about unread mentions');
  await expect(digest).toBeChecked();
  await digest.click();
  await expect(digest).not.toBeChecked();
  await page.screenshot({ path: '../../screenshots/digest-setting.png' });
  await page.keyboard.press('Escape');

  await page.getByRole('link', { name: /team/ }).click();
  await page.getByRole('button', { name: 'Add people' }).click();
  const form = page.getByRole('form', { name: 'Invite by email' });
  await form.getByLabel('Email address').fill('guest@example.org');
  await form.getByRole('button', { name: 'Send' }).click();
  await expect(page.getByText('An email to guest@example.org is on its way.')).toBeVisible();
  await page.screenshot({ path: '../../screenshots/invite-by-mail.png' });

  const guest = await (await browser.newContext()).newPage();
  await guest.goto(`${server.url}/mailbox`);
  const invitation = guest.getByRole('article').filter({ hasText: 'invites you' });
  await expect(invitation).toBeVisible({ timeout: 20_000 });
  await guest.screenshot({ path: '../../screenshots/mailbox.png' });
  await invitation.getByRole('link', { name: /unsubscribe/ }).click();
  await guest.getByRole('button', { name: 'Unsubscribe' }).click();
  await expect(guest.getByRole('heading', { name: 'You are unsubscribed' })).toBeVisible();
  await guest.context().close();
});
