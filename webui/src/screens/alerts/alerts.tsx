// What fires, is about to, and is over.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { type Column, DataTable, Empty, FilterBar, Foreign, Loaded, pageOf, Pager, Time, useUrlState } from "../../ui";
import { AlertActions } from "./actions";
import { type Alert, SEVERITIES, Severity, State } from "./words";

const REFRESH_MS = 10_000;

export function AlertList() {
  const { t } = useTranslation("alerts"), url = useUrlState(), state = url.get("state"), severity = url.get("severity"), device = url.get("device");
  const query = { ...pageOf(url), ...(state === "any" ? {} : { state: (state === "" ? "open" : state) as "open" }), ...(severity === "" ? {} : { severity: severity as "info" }), ...(device === "" ? {} : { device }) };
  const alerts = useGet("/api/v1/alerts", { query }, { every: REFRESH_MS });
  const columns: Column<Alert>[] = [
    { key: "severity", label: t("severity"), cell: (a) => <Severity of={a.severity} /> },
    { key: "state", label: t("state"), cell: (a) => <State alert={a} /> },
    { key: "text", label: t("what"), wide: true, cell: (a) => <Link to={`/alerts/${a.id}`}><Foreign text={a.text} /></Link> },
    { key: "since", label: t("since"), cell: (a) => <Time at={a.since} relative /> },
  ];
  return (
    <>
      <FilterBar filters={[
        { kind: "choice", name: "state", label: t("state"), all: t("state_open"), options: (["firing", "pending", "resolved", "any"] as const).map((s) => ({ value: s, label: t(`state_${s}`) })) },
        { kind: "choice", name: "severity", label: t("severity"), options: SEVERITIES.map((s) => ({ value: s, label: t(`severity_${s}`) })) },
        { kind: "text", name: "device", label: t("device") },
      ]} />
      <Loaded of={alerts}>
        {({ data }) => (
          <>
            <DataTable caption={t("tab_alerts")} columns={columns} rows={data.items} rowKey={(a) => a.id} actions={(a) => <AlertActions alert={a} />}
              empty={state === "" && severity === "" && device === "" ? <Empty title={t("quiet")}>{t("quiet_help")}</Empty> : "filtered"} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </>
  );
}
