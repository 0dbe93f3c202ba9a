// The first screen: what flows, what waits, what is refused, what needs somebody.  Every number leads to the list behind it.
import { useMemo } from "react";
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { areas } from "../../frame/areas";
import { joinLink, messagesLink } from "../../frame/links";
import { Alert, ApiCalls, Card, CardBody, CardTitle, Chart, Empty, Gallery, Grid, GridItem, Loaded, numberText, Page, ToggleGroup, ToggleGroupItem, useUrlState } from "../../ui";
import { Alerts, Deferrals, Devices, Queues, Refusals, Rollouts } from "./cards";
import { flow, type Range, RANGES, total, useFigures, useParent, useQueues } from "./data";

function Tile({ label, n, to }: { label: string; n: number | null; to: string }) {
  return (
    <Card isCompact>
      <CardBody><Link to={to} className="inari-tile"><span className="inari-big">{n === null ? "–" : numberText(n)}</span> <span>{label}</span></Link></CardBody>
    </Card>
  );
}

function Flow({ range }: { range: Range }) {
  const { t, i18n } = useTranslation("overview"), url = useUrlState(), figures = useFigures(range), queue = useQueues();
  const points = figures.data?.data.points;
  const chart = useMemo(() => flow(points ?? [], (what) => t(what)), [points, i18n.language]);
  return (
    <Loaded of={figures}>
      {({ data }) => (
        <>
          <Gallery hasGutter minWidths={{ default: "9rem" }}>
            <Tile label={t("accepted")} n={total(data.points, "accepted")} to={messagesLink({ range })} />
            <Tile label={t("delivered")} n={total(data.points, "delivered")} to={messagesLink({ range, status: "delivered" })} />
            <Tile label={t("waiting")} n={queue?.queue ? queue.queue.deferred : null} to={messagesLink({ range: "30d", status: "deferred" })} />
            <Tile label={t("bounced")} n={total(data.points, "bounced")} to={messagesLink({ range, status: "bounced" })} />
            <Tile label={t("refused")} n={total(data.points, "refused")} to={messagesLink({ range, status: "rejected" })} />
          </Gallery>
          <Grid hasGutter className="inari-block">
            <GridItem lg={8}>
              <Card isFullHeight>
                <CardTitle component="h2">{t("flow")}</CardTitle>
                <CardBody>
                  <ToggleGroup aria-label={t("range")} isCompact>
                    {(Object.keys(RANGES) as Range[]).map((r) => <ToggleGroupItem key={r} text={t(`range_${r}`)} buttonId={`range-${r}`} isSelected={r === range} onChange={() => url.set({ range: r === "24h" ? "" : r })} />)}
                  </ToggleGroup>
                  <Chart label={t("flow_label", { range: t(`range_${range}`) })} data={chart} />
                </CardBody>
              </Card>
            </GridItem>
            <GridItem lg={4}><Alerts /></GridItem>
            <GridItem md={6} lg={4}><Refusals points={data.points} range={range} /></GridItem>
            <GridItem md={6} lg={4}><Deferrals points={data.points} range={range} /></GridItem>
            <GridItem md={6} lg={4}><Queues values={queue} /></GridItem>
            <GridItem md={6} lg={4}><Devices /></GridItem>
            <GridItem md={6} lg={8}><Rollouts /></GridItem>
          </Grid>
        </>
      )}
    </Loaded>
  );
}

/** Nothing has joined yet: the way to the first device instead of empty pictures. */
function First() {
  const { t } = useTranslation("overview"), wizard = areas.some((a) => a.path === "wizard");
  return <Empty title={t("first")} action={<Link to={wizard ? "/wizard" : joinLink}>{t(wizard ? "to_wizard" : "to_devices")}</Link>}>{t("first_help")}</Empty>;
}

export function Overview() {
  const { t } = useTranslation("overview"), url = useUrlState(), parent = useParent(), asked = url.get("range");
  const range: Range = asked in RANGES ? (asked as Range) : "24h";
  return (
    <Page title={t("title")} actions={<ApiCalls call={{ path: `/api/v1/figures?step=${RANGES[range].step}`, inarictl: "inarictl figures" }} />}>
      <Loaded of={parent}>
        {({ data }) => (
          <>
            {data.fenced ? <Alert variant="danger" isInline component="h2" title={t("fenced")}>{t("fenced_help")}</Alert> : null}
            {data.conditions?.some((c) => c.type === "FleetHeard" && c.status === "False") ? <Alert variant="danger" isInline component="h2" title={t("silent")}>{t("silent_help")}</Alert> : null}
            {data.devices === 0 ? <First /> : <Flow range={range} />}
          </>
        )}
      </Loaded>
    </Page>
  );
}
