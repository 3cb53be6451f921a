import type { Embed } from '@confab/sdk';
import { useTranslation } from 'react-i18next';
import { formatFullTime } from '../locales/time';
import styles from './Embeds.module.css';
import { Markdown, SafeLink } from './Markdown';

/** The embeds of a message of a webhook. Images of other servers are links: the page loads nothing from them. */
export function Embeds({ embeds }: { readonly embeds: readonly Embed[] }) {
  if (embeds.length === 0) return null;
  return (
    <div className={styles.embeds}>
      {embeds.map((embed, nth) => (
        <EmbedBlock key={nth} embed={embed} />
      ))}
    </div>
  );
}

function EmbedBlock({ embed }: { readonly embed: Embed }) {
  const { t } = useTranslation();
  const { author, title, url, description, color, fields, image_url: imageUrl, footer, timestamp } = embed;
  const edge = typeof color === 'number' ? `#${color.toString(16).padStart(6, '0')}` : undefined;
  return (
    <section className={styles.embed} style={edge ? { borderInlineStartColor: edge } : undefined}>
      {author && (
        <p className={styles.author}>
          <ExternalLink url={author.url ?? null}>{author.name}</ExternalLink>
        </p>
      )}
      {title && (
        <p className={styles.title}>
          <ExternalLink url={url ?? null}>{title}</ExternalLink>
        </p>
      )}
      {description && <Markdown text={description} />}
      {fields && fields.length > 0 && (
        <dl className={styles.fields}>
          {fields.map((field, nth) => (
            <div key={nth} data-inline={field.inline}>
              <dt>{field.name}</dt>
              <dd>
                <Markdown text={field.value} />
              </dd>
            </div>
          ))}
        </dl>
      )}
      {imageUrl && (
        <p>
          <ExternalLink url={imageUrl}>{t('message.image')}</ExternalLink>
        </p>
      )}
      {(footer || timestamp) && (
        <p className={styles.footer}>{[footer, timestamp && formatFullTime(timestamp)].filter(Boolean).join(' · ')}</p>
      )}
    </section>
  );
}

function ExternalLink({ url, children }: { readonly url: string | null; readonly children: string }) {
  return url ? <SafeLink href={url} raw={children} label={children} text={children} /> : children;
}
