// One alert: since when, who knows of it, who was told.
import { Link, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useGet } from "../../api/use";
import { AreaLink } from "../../frame/arealink";
import { deviceLink, withQuery } from "../../frame/links";
import { ApiCalls, Facts, Foreign, Loaded, Page, Time, visible } from "../../ui";
import { AlertActions } from "./actions";
import { Severity, State } from "./words";

const REFRESH_MS = 10_000;

export function AlertView() {
  const { t } = useTranslation("alerts"), { id = "" } = useParams(), alert = useGet("/api/v1/alerts/{id}", { path: { id } }, { every: REFRESH_MS });
  const a = alert.data?.data;
  return (
    <Page title={a === undefined ? t("alert") : visible(a.text)} crumbs={[{ to: "/alerts", text: t("title") }]} actions={<ApiCalls call={{ path: `/api/v1/alerts/${id}`, inarictl: `inarictl alert show ${id}` }} />}>
      <Loaded of={alert}>
        {({ data }) => (
          <>
            <Facts items={[
              { label: t("severity"), value: <Severity of={data.severity} /> },
              { label: t("state"), value: <State alert={data} /> },
              { label: t("about"), value: data.device ? <AreaLink to={deviceLink(data.name)}><Foreign text={data.name} /></AreaLink> : <Foreign text={data.name} /> },
              { label: t("rule"), value: <Link to={withQuery("/alerts", { tab: "rules" })}><Foreign text={data.rule} /></Link> },
              { label: t("since"), value: <Time at={data.since} /> },
              { label: t("fired_at"), value: <Time at={data.fired_at} /> },
              { label: t("resolved_at"), value: <Time at={data.resolved_at} /> },
              { label: t("told"), value: data.told_at ? <Time at={data.told_at} /> : t("told_nobody") },
              { label: t("known"), value: data.acked_by ? <><Foreign text={data.acked_by} /> <Time at={data.acked_at} /> <Foreign text={data.ack_reason} /></> : t("none", { ns: "common" }) },
            ]} />
            <p className="inari-block"><AlertActions alert={data} /></p>
          </>
        )}
      </Loaded>
    </Page>
  );
}
