// How publications go out to the devices, newest first.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import type { Schemas } from "../../api/client";
import { useGet } from "../../api/use";
import { ApiCalls, type Column, DataTable, Foreign, Loaded, Page, pageOf, Pager, Status, Time, useUrlState } from "../../ui";
import { rolloutTone, useRolloutWords } from "./words";

type Rollout = Schemas["Rollout"];
const REFRESH_MS = 5000;

export function RolloutList() {
  const { t } = useTranslation("rollouts"), url = useUrlState(), query = pageOf(url), words = useRolloutWords();
  const rollouts = useGet("/api/v1/rollouts", { query }, { every: REFRESH_MS });
  const columns: Column<Rollout>[] = [
    { key: "pub", label: t("rollout_of"), cell: (r) => <Link to={`/rollouts/${r.id}`}>{t("revision", { pub: r.pub })}</Link> },
    { key: "state", label: t("state"), cell: (r) => <Status tone={rolloutTone[r.state] ?? "neutral"} text={t(`state_${r.state}`)} /> },
    { key: "reason", label: t("why"), wide: true, cell: (r) => <Foreign text={words.reason(r.reason ?? "")} /> },
    { key: "wave", label: t("wave"), cell: (r) => (r.strategy === "all" ? t("at_once") : t("wave_of", { wave: Math.min(r.wave + 1, r.waves_total), count: r.waves_total })) },
    { key: "devices", label: t("devices"), wide: true, cell: (r) => words.counts(r.counts) },
    { key: "author", label: t("author"), cell: (r) => <Foreign text={r.author} /> },
    { key: "at", label: t("created"), cell: (r) => <Time at={r.created_at} /> },
  ];
  return (
    <Page title={t("title")} actions={<><Link to="/rollouts/policy">{t("strategy:policy")}</Link> <ApiCalls call={{ path: `/api/v1/rollouts?${new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]))}`, inarictl: "inarictl rollouts" }} /></>}>
      <Loaded of={rollouts}>
        {({ data }) => (
          <>
            <DataTable caption={t("title")} columns={columns} rows={data.items} rowKey={(r) => r.id} />
            <Pager next={data.next} />
          </>
        )}
      </Loaded>
    </Page>
  );
}
