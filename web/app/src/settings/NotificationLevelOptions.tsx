import { useTranslation } from 'react-i18next';

/** The options of a choice between notification levels. */
export function NotificationLevelOptions() {
  const { t } = useTranslation();
  return (['all', 'mentions', 'none'] as const).map((level) => (
    <option key={level} value={level}>
      {t(`notifications.levels.${level}`)}
    </option>
  ));
}
