// From an installed parent to the first protected mail.  Each step shows whether it is done; any can be opened again.
import { Link } from "react-router";
import { useTranslation } from "../../i18n/use";
import { useSession } from "../../frame/session";
import { Alert, Button, Card, CardBody, CardTitle, ErrorBox, Flex, FlexItem, Grid, GridItem, List, ListItem, Loading, Page, Status, Title, useUrlState } from "../../ui";
import { JoinStep, ServiceStep } from "./child";
import { MailStep } from "./mail";
import { PlacementStep } from "./placement";
import { isPlacement, type Standing, type Step, STEPS, useStanding } from "./standing";
import { TestStep } from "./testmail";

function Checklist({ standing, open, onOpen }: { standing: Standing; open: Step | null; onOpen: (s: Step) => void }) {
  const { t } = useTranslation("wizard");
  return (
    <nav aria-label={t("checklist")}>
      <ol className="inari-checklist">
        {STEPS.map((s) => (
          <li key={s}>
            <Button variant={s === open ? "secondary" : "link"} {...(s === open ? { "aria-current": "step" as const } : {})} onClick={() => onOpen(s)}>{t(`step_${s}`)}</Button>{" "}
            <Status tone={standing.done[s] ? "good" : s === standing.next ? "busy" : "neutral"} text={t(standing.done[s] ? "step_done" : s === standing.next ? "step_next" : "step_open")} />
          </li>
        ))}
      </ol>
    </nav>
  );
}

function Afterwards() {
  const { t } = useTranslation("wizard");
  return (
    <>
      <Alert variant="success" isInline component="p" role="status" title={t("all_done")}>{t("all_done_help")}</Alert>
      <Title headingLevel="h2">{t("afterwards")}</Title>
      <List>
        <ListItem><Link to="/io?tab=backup">{t("after_backup")}</Link></ListItem>
        <ListItem><Link to="/settings">{t("after_settings")}</Link></ListItem>
        <ListItem><Link to="/accounts">{t("after_accounts")}</Link></ListItem>
        <ListItem><Link to="/devices">{t("after_devices")}</Link></ListItem>
      </List>
    </>
  );
}

export function SetupWizard() {
  const { t } = useTranslation("wizard"), url = useUrlState(), { session, may } = useSession(), kept = url.get("placement"), { standing, error, retry } = useStanding(kept);
  const asked = STEPS.find((s) => s === url.get("step")), open: Step | null = asked ?? standing?.next ?? null;
  const missing = (["settings:write", "publish", "enrol", "device:write", "command"] as const).filter((p) => !may(p));
  const go = (step: Step | "") => url.set({ step }, { push: true });
  return (
    <Page title={t("title")}>
      <p>{t("help")}</p>
      {missing.length > 0 ? <Alert variant="info" isInline component="p" title={t("common:forbidden")}>{t("common:forbidden_help", { permission: missing.join(", ") })}</Alert> : null}
      {standing === null ? (error ? <ErrorBox error={error} onRetry={retry} /> : <Loading />) : (
        <Grid hasGutter>
          <GridItem md={4}><Checklist standing={standing} open={open} onOpen={go} /></GridItem>
          <GridItem md={8}>
            <Card>
              <CardTitle component="h2">{t(open === null ? "finished" : `step_${open}`)}</CardTitle>
              <CardBody>
                {open === null ? <Afterwards /> : null}
                {open === "password" ? <><p>{t("password_help", { user: session.user })}</p><Link to="/accounts?tab=password">{t("to_password")}</Link></> : null}
                {open === "placement" ? <PlacementStep chosen={isPlacement(kept) ? kept : null} onChoose={(p) => url.set({ placement: p, step: "" }, { push: true })} /> : null}
                {open === "mail" ? <MailStep placement={isPlacement(kept) ? kept : null} domains={standing.domains} onDone={() => go("")} /> : null}
                {open === "join" ? <JoinStep placement={isPlacement(kept) ? kept : null} standing={standing} onDone={() => go("")} /> : null}
                {open === "service" ? <ServiceStep standing={standing} onDone={() => go("")} /> : null}
                {open === "test" ? <TestStep standing={standing} onDone={() => go("")} /> : null}
              </CardBody>
            </Card>
            {asked !== undefined && standing.next !== null && asked !== standing.next ? (
              <Flex><FlexItem><Button variant="link" onClick={() => go("")}>{t("to_next", { step: t(`step_${standing.next}`) })}</Button></FlexItem></Flex>
            ) : null}
          </GridItem>
        </Grid>
      )}
    </Page>
  );
}
