// Is the parent well: database, certificate, clock, and whether it hears its fleet.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { currentLanguage } from "../../i18n";
import { Alert, ApiCalls, bytesText, Facts, Foreign, Loaded, numberText, Status, Time, timeText } from "../../ui";

const REFRESH_MS = 10_000;
const SOON_MS = 30 * 86_400_000;

function Ready() {
  const { t } = useTranslation("parent"), ready = useGet("/readyz", {}, { every: REFRESH_MS });
  if (ready.isError) return <Status tone="bad" text={ready.error.problem.detail ?? t("not_ready")} />;
  return ready.data === undefined ? <Status tone="busy" text={t("common:loading")} /> : <Status tone="good" text={t("ready")} />;
}

export function Health() {
  const { t } = useTranslation("parent"), parent = useGet("/api/v1/parent", {}, { every: REFRESH_MS });
  return (
    <Loaded of={parent}>
      {({ data: p }) => {
        const silent = p.conditions?.find((c) => c.type === "FleetHeard" && c.status === "False"), end = p.certificate.not_after, soon = end !== null && end !== undefined && new Date(end).getTime() - Date.now() < SOON_MS;
        return (
          <>
            {p.fenced ? <Alert variant="danger" isInline component="p" title={t("fenced")} actionLinks={<Link to="/parent?tab=recovery">{t("to_recovery")}</Link>}>{t("fenced_help")}</Alert> : null}
            {silent ? <Alert variant="warning" isInline component="p" title={t("silent", { gone: numberText(silent.gone), of: numberText(silent.of) })}>{silent.since ? t("silent_since", { time: timeText(silent.since) }) : null}</Alert> : null}
            {p.clock_wrong ? <Alert variant="warning" isInline component="p" title={t("clock_wrong")}>{t("clock_wrong_help")}</Alert> : null}
            {soon ? <Alert variant="warning" isInline component="p" title={t("certificate_soon")}>{t("certificate_soon_help")}</Alert> : null}
            <Facts items={[
              { label: t("state"), value: <Ready /> },
              { label: t("version"), value: <Foreign text={p.version} /> },
              { label: t("revision"), value: <Link to="/changes">{numberText(p.pub ?? 0)}</Link> },
              { label: t("devices"), value: <Link to="/devices">{numberText(p.devices ?? 0)}</Link> },
              { label: t("database"), value: <><Foreign text={p.database.version} />, {bytesText(p.database.size_bytes ?? 0)}</> },
              { label: t("schema"), value: numberText(p.database.schema ?? 0) },
              { label: t("clock"), value: <><Time at={p.time} />{` (${new Intl.NumberFormat(currentLanguage(), { style: "unit", unit: "millisecond", signDisplay: "exceptZero" }).format(p.clock_offset_ms ?? 0)})`}</> },
              { label: t("certificate_until"), value: <Time at={end} /> },
              { label: t("addresses"), value: <>{p.addresses?.map((a) => <div key={a}><Foreign text={a} /></div>)}</> },
              { label: t("issuer"), value: <Foreign text={p.issuer} /> },
              { label: t("fleet"), value: <Foreign text={p.fleet} /> },
              { label: t("epoch"), value: numberText(p.epoch) },
            ]} />
            <ApiCalls call={{ path: "/api/v1/parent", inarictl: "inarictl status" }} />
          </>
        );
      }}
    </Loaded>
  );
}
