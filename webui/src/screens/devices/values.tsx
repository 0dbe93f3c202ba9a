// The settings in force on a device, which of them differ from the fleet, and who set any of them.
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { useSession } from "../../frame/session";
import { Alert, ApiCalls, Button, CodeBlock, CodeBlockCode, type Column, DataTable, FilterBar, Foreign, Loaded, Modal, ModalBody, ModalFooter, ModalHeader, Status, Time, useUrlState } from "../../ui";
import type { TabProps } from "./detail";
import { nameQuoted, Revision } from "./words";

type Setting = Schemas["Setting"];
type Layer = Schemas["Explain"]["layers"][number];
interface Row { setting: Setting; value: unknown; layer: string | null; by: string | null }

/** One line for a table; the dialog shows the whole. */
export function useValueText() {
  const { t } = useTranslation("devices"), { t: common } = useTranslation();
  return (v: unknown): string => {
    if (v === null || v === undefined || v === "") return t("value_empty");
    if (typeof v === "boolean") return common(v ? "yes" : "no");
    if (typeof v === "object") return t("value_entries", { count: Object.keys(v).length });
    return String(v);
  };
}

function Explain({ device, path, onClose }: { device: TabProps["device"]; path: string; onClose: () => void }) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), text = useValueText();
  const explain = useGet("/api/v1/devices/{id}/explain", { path: { id: device.id }, query: { path } });
  const columns: Column<Layer>[] = [
    { key: "layer", label: t("layer"), cell: (l) => <>{t(`layer_${l.layer}`)} <Foreign text={l.name} /></> },
    { key: "wins", label: t("wins"), cell: (l) => (l.wins ? <Status tone="good" text={t("wins_yes")} /> : null) },
    { key: "value", label: t("value"), wide: true, cell: (l) => ("value" in l ? <code><Foreign text={typeof l.value === "object" ? JSON.stringify(l.value) : text(l.value)} /></code> : null) },
    { key: "pub", label: t("revision"), number: true, cell: (l) => <Revision pub={l.pub} /> },
    { key: "who", label: t("who"), wide: true, cell: (l) => <><Foreign text={l.author} /> <Foreign text={l.reason} /> {l.at ? <Time at={l.at} /> : null}</> },
  ];
  return (
    <Modal isOpen variant="large" onClose={onClose} aria-labelledby="explain-title">
      <ModalHeader title={explain.data?.data.label ?? path} labelId="explain-title" description={path} />
      <ModalBody>
        <Loaded of={explain}>
          {({ data }) => (
            <>
              <h3>{t("in_force")}</h3>
              <CodeBlock><CodeBlockCode><Foreign text={typeof data.value === "object" && data.value !== null ? JSON.stringify(data.value, null, 2) : text(data.value)} /></CodeBlockCode></CodeBlock>
              <h3>{t("layers")}</h3>
              <DataTable caption={t("layers")} columns={columns} rows={data.layers} rowKey={(l) => `${l.layer}/${l.id ?? ""}`} />
            </>
          )}
        </Loaded>
      </ModalBody>
      <ModalFooter>
        <ApiCalls call={{ path: `/api/v1/devices/${device.id}/explain?path=${path}`, inarictl: `inarictl explain ${path} --device ${nameQuoted(device.name)}` }} />
        <Button variant="link" onClick={onClose}>{common("close")}</Button>
      </ModalFooter>
    </Modal>
  );
}

export function SettingsTab({ device }: TabProps) {
  const { t } = useTranslation("devices"), { t: common } = useTranslation(), { may } = useSession(), url = useUrlState(), text = useValueText(), path = { id: device.id }, allowed = may("settings:read");
  const catalog = useGet("/api/v1/catalog", {}, { enabled: allowed }), effective = useGet("/api/v1/devices/{id}/effective", { path }), overrides = useGet("/api/v1/devices/{id}/overrides", { path }, { enabled: allowed });
  if (!allowed) return <Alert isInline variant="info" component="p" title={common("forbidden")}>{common("forbidden_help", { permission: "settings:read" })}</Alert>;
  const key = url.get("key"), find = url.get("find").toLowerCase();
  const rows = (all: Setting[], values: Record<string, unknown>): Row[] => all.flatMap((setting) => {
    if (!(setting.key in values)) return [];
    const own = overrides.data?.data.items.find((o) => o.key === setting.key);
    const row: Row = { setting, value: values[setting.key], layer: own?.layer ?? null, by: own?.name ?? null };
    if (url.get("only") === "overrides" && own === undefined) return [];
    if (url.get("area") !== "" && setting.area !== url.get("area")) return [];
    return find === "" || `${setting.key} ${setting.label ?? ""}`.toLowerCase().includes(find) ? [row] : [];
  });
  const columns: Column<Row>[] = [
    { key: "setting", label: t("setting"), wide: true, cell: (r) => <>{r.setting.label}<div className="inari-small"><code>{r.setting.key}</code></div></> },
    { key: "value", label: t("in_force"), wide: true, cell: (r) => <Foreign text={text(r.value)} /> },
    { key: "layer", label: t("set_by"), wide: true, cell: (r) => (r.layer === null ? t("as_the_fleet") : <Status tone="warn" text={`${t(`layer_${r.layer}`)} ${r.by ?? ""}`} />) },
  ];
  return (
    <Loaded of={catalog}>
      {({ data }) => (
        <>
          <FilterBar filters={[
            { kind: "text", name: "find", label: t("find_setting") },
            { kind: "choice", name: "area", label: t("area"), options: [...new Set(data.items.map((s) => s.area))].map((a) => ({ value: a, label: a })) },
            { kind: "choice", name: "only", label: t("only"), options: [{ value: "overrides", label: t("only_overrides") }] },
          ]} />
          <Loaded of={effective}>
            {({ data: now }) => (
              <>
                <p>{t("settings_of")} <Revision pub={now.pub} /></p>
                <DataTable caption={t("tab_settings")} columns={columns} rows={rows(data.items, now.settings as Record<string, unknown>)} rowKey={(r) => r.setting.key} empty="filtered"
                  actions={(r) => <Button variant="link" isInline onClick={() => url.set({ key: r.setting.key }, { push: true })}>{t("explain")}</Button>} />
              </>
            )}
          </Loaded>
          {key === "" ? null : <Explain key={key} device={device} path={key} onClose={() => url.set({ key: "" })} />}
        </>
      )}
    </Loaded>
  );
}
