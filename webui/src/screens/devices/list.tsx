// Every child device: is it in sync, does it answer, what runs.
import { useTranslation } from "react-i18next";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { ApiCalls, type Column, DataTable, Empty, FilterBar, Foreign, Loaded, Page, pageOf, Pager, Status, Time, type Tone, useUrlState } from "../../ui";

type Device = Schemas["Device"];
const REFRESH_MS = 5000;
const STATES = ["pending", "reattach", "rejected", "observing", "managed", "held", "quarantined", "revoked", "retired"] as const;
export const syncTone: Record<string, Tone> = { "in-sync": "good", observing: "neutral", pending: "busy", applying: "busy", failed: "bad", held: "warn", unknown: "neutral" };
export const presenceTone: Record<string, Tone> = { online: "good", late: "warn", lost: "bad", never: "neutral" };

export function DeviceList() {
  const { t } = useTranslation("devices"), url = useUrlState();
  const query = { ...pageOf(url), ...(url.get("state") ? { state: url.get("state") } : {}) };
  const devices = useGet("/api/v1/devices", { query }, { every: REFRESH_MS });
  const columns: Column<Device>[] = [
    { key: "name", label: t("name"), cell: (d) => <Foreign text={d.name} /> },
    { key: "sync", label: t("sync"), cell: (d) => <Status tone={syncTone[d.sync ?? "unknown"] ?? "neutral"} text={t(`sync_${d.sync ?? "unknown"}`)} /> },
    { key: "presence", label: t("presence"), cell: (d) => <Status tone={presenceTone[d.presence] ?? "neutral"} text={t(`presence_${d.presence}`)} /> },
    { key: "mode", label: t("mode"), cell: (d) => t(`mode_${d.mode}`) },
    { key: "state", label: t("state"), cell: (d) => t(`state_${d.state}`) },
    { key: "seen", label: t("last_seen"), cell: (d) => <Time at={d.last_seen} relative /> },
  ];
  return (
    <Page title={t("title")} actions={<ApiCalls call={{ path: `/api/v1/devices?${new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]))}`, inarictl: "inarictl devices" }} />}>
      <FilterBar filters={[{ kind: "choice", name: "state", label: t("state"), options: STATES.map((s) => ({ value: s, label: t(`state_${s}`) })) }]} />
      <Loaded of={devices}>
        {({ data }) => (
          <>
            <DataTable caption={t("title")} columns={columns} rows={data.items} rowKey={(d) => d.id}
              empty={url.get("state") === "" && url.get("cursor") === "" ? <Empty title={t("no_devices")}>{t("no_devices_help")}</Empty> : "filtered"} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
