// Backups hold every key of the fleet, so they are made on the parent's host and no browser can fetch one: what to type there.
import { useTranslation } from "../../i18n/use";
import { Command, Title } from "../../ui";

const KEY = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout backup.key -out backup.crt -days 3650 -subj /CN=inari-backup";
const BACKUP = 'sudo -u inari inarid backup "inari-$(date +%F).backup" --recipient backup.crt';
const CHECK = "inarid check-backup inari-DATE.backup --key backup.key";
const RESTORE = "systemctl stop inarid && sudo -u inari inarid restore inari-DATE.backup --key backup.key";

export function Backup() {
  const { t } = useTranslation("io");
  return (
    <>
      <p>{t("backup_help")}</p>
      {([["key", KEY], ["make", BACKUP], ["check", CHECK], ["restore", RESTORE]] as const).map(([what, text]) => (
        <section key={what}>
          <Title headingLevel="h2">{t(`backup_${what}`)}</Title>
          <p>{t(`backup_help_${what}`)}</p>
          <Command label={t(`backup_${what}`)} text={text} />
        </section>
      ))}
    </>
  );
}
