// What the checks found, with the remedy and the way to the setting.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSettings } from "../../api/catalog";
import type { Schemas } from "../../api/client";
import { Foreign, List, ListItem, Status } from "../../ui";
import { placeOf } from "../../ui/catalog";

type Finding = Schemas["Finding"];

export function Findings({ items }: { items: Finding[] }) {
  const { t } = useTranslation("changes"), settings = useSettings();
  if (items.length === 0) return <Status tone="good" text={t("no_findings")} />;
  return (
    <List isPlain aria-label={t("findings")}>
      {items.map((f) => {
        const s = settings.get(placeOf(f.pointer)?.key ?? "");
        return (
          <ListItem key={f.id + f.pointer + f.message}>
            <Status tone={f.warning ? "warn" : f.forceable ? "warn" : "bad"} text={t(f.warning ? "finding_warning" : f.forceable ? "finding_forceable" : "finding_hard")} />{" "}
            {s === undefined ? null : <Link to={`/settings/${s.area}?key=${s.key}`}>{s.label}</Link>}{" "}
            <Foreign text={f.message} /> <strong>{f.remedy}</strong>
          </ListItem>
        );
      })}
    </List>
  );
}
