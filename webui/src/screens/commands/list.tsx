// Orders given to devices, newest first.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { commandLink, deviceLink } from "../../frame/links";
import { ApiCalls, type Column, DataTable, Empty, FilterBar, Foreign, Loaded, Page, pageOf, Pager, Status, Time, useUrlState } from "../../ui";
import { type Command, COMMAND_STATES, commandTone, type Kind, KINDS } from "./words";

const REFRESH_MS = 5000;

export function CommandTable({ items, device = true, empty }: { items: Command[]; device?: boolean; empty: "filtered" | React.ReactNode }) {
  const { t } = useTranslation("commands");
  const columns: Column<Command>[] = [
    { key: "kind", label: t("kind"), cell: (c) => <Link to={commandLink(c.id)}>{t(`kind_${c.kind}`)}</Link> },
    ...(device ? [{ key: "device", label: t("device"), cell: (c: Command) => <Link to={deviceLink(c.device.name)}><Foreign text={c.device.name} /></Link> }] : []),
    { key: "state", label: t("state"), cell: (c) => <Status tone={commandTone[c.state] ?? "neutral"} text={t(`state_${c.state}`)} /> },
    { key: "by", label: t("by"), cell: (c) => <Foreign text={c.by} /> },
    { key: "reason", label: t("reason"), wide: true, cell: (c) => <Foreign text={c.reason} /> },
    { key: "created", label: t("given"), cell: (c) => <Time at={c.created_at} /> },
    { key: "ended", label: t("ended"), cell: (c) => <Time at={c.ended_at} /> },
  ];
  return <DataTable caption={t("title")} columns={columns} rows={items} rowKey={(c) => c.id} empty={empty} />;
}

export function CommandList() {
  const { t } = useTranslation("commands"), url = useUrlState(), names = ["device", "state", "kind"] as const;
  const given = Object.fromEntries(names.filter((n) => url.get(n) !== "").map((n) => [n, url.get(n)])) as { device?: string; state?: Command["state"]; kind?: Kind };
  const query = { ...pageOf(url), ...given }, commands = useGet("/api/v1/commands", { query }, { every: REFRESH_MS });
  const filtered = Object.keys(given).length > 0 || url.get("cursor") !== "";
  const flags = Object.entries(given).map(([k, v]) => ` --${k} '${v}'`).join("");
  return (
    <Page title={t("title")} actions={<ApiCalls call={{ path: `/api/v1/commands?${new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]))}`, inarictl: `inarictl commands${flags}` }} />}>
      <FilterBar filters={[
        { kind: "text", name: "device", label: t("device_filter") },
        { kind: "choice", name: "state", label: t("state"), options: COMMAND_STATES.map((s) => ({ value: s, label: t(`state_${s}`) })) },
        { kind: "choice", name: "kind", label: t("kind"), options: KINDS.map((k) => ({ value: k, label: t(`kind_${k}`) })) },
      ]} />
      <Loaded of={commands}>
        {({ data }) => (
          <>
            <CommandTable items={data.items} empty={filtered ? "filtered" : <Empty title={t("none_given")}>{t("none_given_help")}</Empty>} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
