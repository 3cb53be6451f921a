/** The paths of links in mails. */
const MAIL_LINK_PATHS = ['/finish-sign-up', '/reset-password', '/confirm-email', '/unsubscribe'] as const;

export type MailLinkPath = (typeof MAIL_LINK_PATHS)[number];

/** The link in a mail that opened this page, if one did. */
export function findMailLink(): MailLinkPath | undefined {
  return MAIL_LINK_PATHS.find((path) => path === location.pathname);
}
