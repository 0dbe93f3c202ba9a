// Every child device: is it in sync, does it answer, what runs.
import { Link } from "react-router";
import { useMemo } from "react";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { deviceLink, joinLink, withQuery } from "../../frame/links";
import { ApiCalls, type Column, DataTable, Empty, FilterBar, Foreign, Loaded, Page, pageOf, Pager, Status, Time, useUrlState } from "../../ui";
import { type Device, PresenceStatus, Revision, STATES, SyncStatus } from "./words";

const REFRESH_MS = 5000;

export function DeviceList() {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), url = useUrlState();
  const order = url.get("order"), attention = order === "name" ? undefined : order === "only" ? ("only" as const) : ("first" as const);
  const asked = { q: url.get("q"), state: url.get("state"), group: url.get("group") };
  const query = { ...pageOf(url), ...Object.fromEntries(Object.entries(asked).filter(([, v]) => v !== "")), ...(attention === undefined ? {} : { attention }) };
  const devices = useGet("/api/v1/devices", { query }, { every: REFRESH_MS }), groups = useGet("/api/v1/groups", { query: { limit: 500 } });
  const columns = useMemo((): Column<Device>[] => [
    { key: "name", label: t("name"), cell: (d) => <Link to={deviceLink(d.name)}><Foreign text={d.name} /></Link> },
    { key: "sync", label: t("sync"), cell: (d) => <SyncStatus device={d} /> },
    { key: "presence", label: t("presence"), cell: (d) => <PresenceStatus device={d} /> },
    { key: "desired", label: t("truth_desired"), number: true, cell: (d) => <Revision pub={d.desired?.pub} /> },
    { key: "on_disk", label: t("truth_on_disk"), number: true, cell: (d) => <Revision pub={d.on_disk?.pub} /> },
    { key: "running", label: t("truth_running"), number: true, cell: (d) => <Revision pub={d.running?.pub} /> },
    { key: "drift", label: t("tab_drift"), cell: (d) => {
      const c = d.conditions?.find((x) => x.type === "Drifted");
      if (c === undefined || c.status === "Unknown") return common("unknown");
      return c.status === "True" ? <Link to={withQuery(deviceLink(d.name), { tab: "drift" })}><Status tone={c.reason === "Reported" ? "warn" : "bad"} text={common("yes")} /></Link> : common("none");
    } },
    { key: "state", label: t("state"), cell: (d) => t(`state_${d.state}`) },
    { key: "seen", label: t("last_seen"), cell: (d) => <Time at={d.last_seen} relative /> },
  ], [t, common]);
  const filtered = Object.values(asked).some((v) => v !== "") || order === "only" || url.get("cursor") !== "";
  const quoted = (x: string) => `'${x.replaceAll("'", `'\\''`)}'`;
  const inarictl = ["inarictl devices", ...([["text", asked.q], ["state", asked.state], ["group", asked.group]] as const).filter(([, v]) => v !== "").map(([k, v]) => `--${k} ${quoted(v)}`), ...(attention === "only" ? ["--attention"] : [])].join(" ");
  return (
    <Page title={t("title")} actions={<><Link to={joinLink}>{t("join")}</Link> <ApiCalls call={{ path: `/api/v1/devices?${new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]))}`, inarictl }} /></>}>
      <FilterBar filters={[
        { kind: "text", name: "q", label: t("find") },
        { kind: "choice", name: "order", label: t("order"), all: t("order_first"), options: (["only", "name"] as const).map((x) => ({ value: x, label: t(`order_${x}`) })) },
        { kind: "choice", name: "state", label: t("state"), options: STATES.map((s) => ({ value: s, label: t(`state_${s}`) })) },
        { kind: "choice", name: "group", label: t("group"), options: (groups.data?.data.items ?? []).map((g) => ({ value: g.id, label: g.name })) },
      ]} />
      <Loaded of={devices}>
        {({ data }) => (
          <>
            <DataTable caption={t("title")} columns={columns} rows={data.items} rowKey={(d) => d.id}
              empty={filtered ? "filtered" : <Empty title={t("no_devices")} action={<Link to={joinLink}>{t("join")}</Link>}>{t("no_devices_help")}</Empty>} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
