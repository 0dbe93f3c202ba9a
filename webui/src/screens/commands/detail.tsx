// One order: who gave it, why, with what, and how it went.
import { Link, useParams } from "react-router";
import { useTranslation } from "../../i18n/use";
import { deviceLink } from "../../frame/links";
import { ApiCalls, Empty, Facts, Foreign, Loaded, Page, Stack, StackItem, Time } from "../../ui";
import { JobView, useCommand } from "./job";

export function CommandDetail() {
  const { id = "" } = useParams();
  return <Detail key={id} id={id} />;
}

function Detail({ id }: { id: string }) {
  const { t } = useTranslation("commands"), { query, command } = useCommand(id), crumbs = [{ to: "/commands", text: t("title") }];
  if (query.error !== null && (query.error.status === 404 || query.error.status === 422) && query.data === undefined)
    return <Page title={t("no_such")} crumbs={crumbs}><Empty title={t("no_such")} action={<Link to="/commands">{t("title")}</Link>} /></Page>;
  return (
    <Page title={command ? t(`kind_${command.kind}`) : t("command")} crumbs={crumbs} actions={<ApiCalls call={{ path: `/api/v1/commands/${id}`, inarictl: `inarictl command show ${id}` }} />}>
      <Loaded of={query}>
        {({ data: c }) => (
          <Stack hasGutter>
            <StackItem>
              <Facts items={[
                { label: t("device"), value: <Link to={deviceLink(c.device.name)}><Foreign text={c.device.name} /></Link> },
                { label: t("by"), value: <Foreign text={c.by} /> },
                ...(c.reason ? [{ label: t("reason"), value: <Foreign text={c.reason} /> }] : []),
                ...(Object.keys(c.args ?? {}).length === 0 || c.kind === "debug-bundle" ? [] : [{ label: t("args"), value: <code><Foreign text={JSON.stringify(c.args)} /></code> }]),
                { label: t("expires"), value: <Time at={c.expires_at} /> },
              ]} />
            </StackItem>
            <StackItem><JobView id={id} link={false} /></StackItem>
          </Stack>
        )}
      </Loaded>
    </Page>
  );
}
